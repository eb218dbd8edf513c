"""What a build is told and given, and what is said where it cannot begin. Nothing is built here."""

from __future__ import annotations

import re
import shutil
import subprocess
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from matrix.cli.app import app
from matrix.errors import InputError
from matrix.image import build_folder as room
from matrix.image.apptainer import ImageError, find_program
from matrix.image.base import DEFAULTS, Base, find_base
from matrix.image.build import Build, check_out, make, passed_on
from matrix.image.context import DEFINITION, Checkout, find_checkout, lay_out
from tests.support.images import ROOT

DEFINED = (ROOT / "containers" / DEFINITION).read_text()
NOT_ON_RANKS = {"matplotlib", "plotly", "scipy"}  # behind tables and plots
WITH_XFFL = ("accelerate", "tqdm", "wandb")


def build_of(checkout: Checkout, out: Path, **more: object) -> Build:
    given = {
        "checkout": checkout,
        "base": Base("localimage", "/base"),
        "device": "cpu",
        "xffl": False,
        "out": out,
        "program": Path("/usr/bin/apptainer"),
        "tmp": out.parent,
    }
    return Build(**(given | more))


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """A small one, of this one's own files, with one file that git knows nothing of."""
    root = tmp_path / "checkout"
    for name in ("containers", "bench"):
        (root / name).mkdir(parents=True)
    for name in (
        "pyproject.toml",
        "containers/bench.def",
        "containers/lock.txt",
        "containers/lock-xffl.txt",
        "containers/xffl.txt",
    ):
        shutil.copy(ROOT / name, root / name)
    (root / "bench" / "__init__.py").touch(mode=0o600)
    for words in (
        ["init", "--quiet"],
        ["add", "."],
        ["-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "--quiet", "--message", "all"],
    ):
        subprocess.run(["git", *words], cwd=root, check=True)
    (root / "bench" / "secret.txt").touch()
    return find_checkout(root)


def test_only_what_git_tracks_goes_in_and_anyone_can_read_it(checkout: Checkout, tmp_path: Path) -> None:
    lay_out(checkout, tmp_path / "context")
    found = {str(path.relative_to(tmp_path / "context")) for path in (tmp_path / "context").rglob("*.*")}
    assert found == {
        "bench.def",
        "source/pyproject.toml",
        "source/bench/__init__.py",
        "source/containers/lock.txt",
        "source/containers/lock-xffl.txt",
        "source/containers/xffl.txt",
    }
    assert (tmp_path / "context" / "source" / "bench" / "__init__.py").stat().st_mode & 0o777 == 0o644


def test_a_change_makes_the_commit_dirty(checkout: Checkout) -> None:
    assert re.fullmatch(r"[0-9a-f]{40}", checkout.commit)
    (checkout.root / "bench" / "__init__.py").write_text("pass\n")
    assert find_checkout(checkout.root).commit == f"{checkout.commit} dirty"


def test_the_words_of_a_build(checkout: Checkout, tmp_path: Path) -> None:
    build = build_of(checkout, tmp_path / "bench.sif", binds=("/mirror:/mnt",), xffl=True)
    words = build.command(Path("/out/.bench.sif.1"), packs=True, is_root=False)
    pinned = "2819740bd41ec693faabd89b0b1fdfa6f8d167d4"
    assert words == [
        *["/usr/bin/apptainer", "build", "--fakeroot", "--mksquashfs-args", "-comp zstd -Xcompression-level 3"],
        *["--bind", "/mirror:/mnt", "--build-arg", "BOOTSTRAP=localimage", "--build-arg", "FROM=/base"],
        *["--build-arg", "DEVICE=cpu", "--build-arg", f"XFFL={pinned}", "--build-arg", "VERSION=0.1.0"],
        *["--build-arg", f"COMMIT={checkout.commit}", "--build-arg", f"LOCK={checkout.lock_digest}"],
        *["/out/.bench.sif.1", "bench.def"],
    ]
    plain = build.command(Path("a.sif"), packs=False, is_root=True)
    assert "--fakeroot" not in plain
    assert "--mksquashfs-args" not in plain


def test_the_definition_takes_the_arguments_that_a_build_gives(checkout: Checkout, tmp_path: Path) -> None:
    defaults = dict(re.findall(r"^    ([A-Z]+)=(.*)$", DEFINED.split("%arguments")[1].split("%files")[0], re.MULTILINE))
    given = build_of(checkout, tmp_path / "a.sif").arguments
    assert set(re.findall(r"{{ (\w+) }}", DEFINED)) == set(given) == set(defaults)
    assert defaults["FROM"] == DEFAULTS["cuda"]


def _closure(names: set[str], extras: tuple[str, ...] = ()) -> set[str]:
    """What distributions need, as far as it is installed here, themselves included."""
    found: set[str] = set()
    left = list(names)
    while left:
        name = left.pop()
        if name in found:
            continue
        found.add(name)
        for text in requires(name) or []:
            needed = Requirement(text)
            if needed.marker is None or needed.marker.evaluate({"extra": ""}):
                left.append(canonicalize_name(needed.name))
    return found


def pins(name: str) -> dict[str, str]:
    lines = [line for line in (ROOT / name).read_text().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in lines), "versions only"
    return {canonicalize_name(line.split("==")[0]): line for line in lines}


def test_the_locks_are_what_ranks_need_at_the_versions_of_the_constraints() -> None:
    asked = {canonicalize_name(Requirement(text).name) for text in requires("xffl-bench") or [] if "extra" not in text}
    ranks = _closure(asked - NOT_ON_RANKS) - {"setuptools"}  # a base with pip has it
    known, lock, more = pins("constraints.txt"), pins("containers/lock.txt"), pins("containers/lock-xffl.txt")
    assert lock == {name: known[name] for name in ranks}
    # accelerate is not installed for every test; all that it needs ranks need, too.
    beside = _closure({"tqdm", "wandb"}) - ranks
    assert more == {name: known[name] for name in beside | {"accelerate"}}


@pytest.mark.parametrize(
    ("bootstrap", "name", "fault"),
    [
        ("dokcer", None, "--bootstrap dokcer: unknown kind of base image (did you mean 'docker'?)"),
        ("oras", None, "--bootstrap oras: needs the name of the base image in --from"),
        ("localimage", None, "--bootstrap localimage: needs the path of the base image in --from"),
        ("localimage", "no.sif", "--from no.sif: no.sif does not exist: give an existing SIF, folder or archive"),
    ],
)
def test_a_base_that_is_unknown(bootstrap: str, name: str | None, fault: str) -> None:
    with pytest.raises(InputError) as caught:
        find_base("cpu", bootstrap, name)
    assert str(caught.value) == fault


def test_bases_that_are_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.tar").touch()
    assert find_base("rocm", "docker", None) == Base("docker", DEFAULTS["rocm"])
    assert find_base("cpu", "oci-archive", "a.tar:latest") == Base("oci-archive", f"{tmp_path}/a.tar:latest")
    assert find_base("cpu", "localimage", "a.tar") == Base("localimage", f"{tmp_path}/a.tar")


def test_no_program_is_said_with_a_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="neither apptainer nor singularity is in PATH: load the site's module"):
        find_program(None)
    with pytest.raises(InputError, match="--program aptainer: program not found"):
        find_program("aptainer")


def test_no_room_is_said_with_what_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(room.NEEDED, "cpu", 1 << 60)
    with pytest.raises(
        InputError, match=r"not enough space to build an image for cpu, which may need 1073741824 GiB \(free: "
    ):
        room.build_folder(None, tmp_path / "a.sif", "cpu")
    assert room.build_folder(tmp_path, tmp_path / "a.sif", "cpu") == tmp_path
    with pytest.raises(InputError, match="is not a writable folder"):
        room.build_folder(tmp_path / "no", tmp_path / "a.sif", "cpu")


def test_a_place_for_the_image(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--out .*a.img: should end in .sif"):
        check_out(tmp_path / "a.img")
    with pytest.raises(InputError, match="should be a file in a writable folder"):
        check_out(tmp_path / "no" / "a.sif")


def test_a_folder_that_is_no_checkout(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a checkout of xffl-bench, which images are built from"):
        find_checkout(tmp_path)


def test_a_program_that_fails_leaves_what_was_there(checkout: Checkout, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "bench.sif").write_text("the one of before")
    program = tmp_path / "apptainer"
    program.write_text('#!/bin/sh\n[ "$2" = --help ]\n')
    program.chmod(0o755)
    with pytest.raises(ImageError, match="`apptainer build` failed with status 1: nothing was written"):
        make(build_of(checkout, out / "bench.sif", program=program))
    assert [path.name for path in out.iterdir()] == ["bench.sif"]
    assert list(tmp_path.glob("xffl-bench-image-*")) == []


def test_an_unknown_device_is_bad_input() -> None:
    with pytest.raises(InputError, match=r"--device cdua: unknown device \(did you mean 'cuda'\?\)"):
        app(["image", "build", "--device", "cdua"], standalone_mode=False)


def test_a_build_knows_how_pip_finds_packages_here() -> None:
    known = {"PIP_INDEX_URL": "https://mirror/simple", "https_proxy": "proxy:1", "NO_PROXY": "localhost"}
    assert passed_on({**known, "HF_TOKEN": "secret", "PATH": "/usr/bin"}) == known
