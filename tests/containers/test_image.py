"""A real image, built from this checkout: whole or not at all, nothing but what ranks need inside, and it trains."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from matrix.image.apptainer_command import Bind, enter, hidden
from tests.support.built import Built, xffl_bench
from tests.support.images import ROOT, apptainer

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

NASTY = {
    "dollar": "$HOME and ${HOME} and $(id)",
    "quotes": """`id` "double" 'single'""",
    "backslash": r"a\b\$c\\",
    "comma": "a,b=c,d",
    "lines": "first\nsecond",
    "percent": "%s %d; true & #x",
    "empty": "",
}


def test_an_image_trains_while_it_is_built_and_lies_beside_its_digest(built: Built) -> None:
    assert "two ranks of engine native trained on cpu under torchrun: loss " in built.said
    checked = subprocess.run(["sha256sum", "--check", "bench.sif.sha256"], cwd=built.image.parent, check=False)
    assert checked.returncode == 0
    assert sorted(path.name for path in built.image.parent.iterdir()) == [
        "bench.sif",
        "bench.sif.freeze.txt",
        "bench.sif.sha256",
    ]


def test_packages_are_those_of_the_lock_and_no_others(built: Built, base: Path) -> None:
    def names(text: str) -> dict[str, str]:
        pins = (line.partition("==") for line in text.splitlines() if "==" in line)
        return {name.lower().replace("_", "-"): version.partition("+")[0] for name, _, version in pins}

    packages = names(built.image.with_name("bench.sif.freeze.txt").read_text())
    own = {"pip", "setuptools", "wheel", "xffl-bench"}  # the base's own, and the harness
    asked = names((ROOT / "containers" / "lock.txt").read_text())
    assert {name: version for name, version in packages.items() if name not in own} == asked


def test_inspect_says_what_is_inside(built: Built) -> None:
    said = xffl_bench("image", "inspect", built.image).stdout
    labels = dict(line.split(maxsplit=1) for line in said.splitlines() if "  " in line)
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert labels["commit"].split()[0] == head.strip()
    assert labels["device"] == "cpu"
    assert labels["xffl"] == "none"
    assert labels["torch"].startswith("2.")
    assert labels["sha256"] == built.image.with_name("bench.sif.sha256").read_text().split()[0]
    assert "\npydantic==" in said
    assert "file:" not in said


def test_verify_tells_a_whole_image_from_one_whose_digest_is_another(built: Built, tmp_path: Path) -> None:
    done = xffl_bench("image", "verify", built.image)
    assert done.returncode == 0, done.stdout
    assert [line.split("  ")[0] for line in done.stdout.splitlines()] == [
        "✓ sha256",
        "✓ training",
        "✓ torchrun --help",
        "✓ python -m bench.training --help",
        "✓ xffl-bench --version",
    ]
    other = tmp_path / "bench.sif"
    other.symlink_to(built.image)
    (tmp_path / "bench.sif.sha256").write_text(f"{'0' * 64}  bench.sif\n")
    done = xffl_bench("image", "verify", other)
    assert done.returncode == 1
    assert "✗ sha256" in done.stdout


def test_a_build_that_fails_leaves_nothing(tmp_path: Path) -> None:
    apptainer()
    (tmp_path / "no-image").write_text("text\n")
    (tmp_path / "out").mkdir()
    (tmp_path / "work").mkdir()
    (tmp_path / "out" / "bench.sif").write_text("the one of before")
    words = ["--device", "cpu", "--bootstrap", "localimage", "--from", tmp_path / "no-image"]
    words += ["--out", tmp_path / "out" / "bench.sif", "--tmp", tmp_path / "work"]
    done = xffl_bench("image", "build", *words)
    assert done.returncode == 1, done.stdout
    assert done.stdout.splitlines()[-1].endswith("build` failed with status 255: nothing was written")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["bench.sif"]
    assert (tmp_path / "out" / "bench.sif").read_text() == "the one of before"
    assert list((tmp_path / "work").iterdir()) == []


def test_a_file_that_is_no_image_is_refused(tmp_path: Path) -> None:
    apptainer()
    (tmp_path / "a.sif").write_text("text\n")
    done = xffl_bench("image", "verify", tmp_path / "a.sif")
    assert done.returncode == 2
    assert f"{tmp_path / 'a.sif'}: apptainer cannot read it" in done.stdout


def inside(prefix: list[str], program: str, **variables: str) -> dict[str, object]:
    """What a Python program in the image prints as JSON."""
    done = subprocess.run(
        [*prefix, "python", "-c", program], env={**os.environ, **variables}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


ENVIRONMENT = "import json, os; print(json.dumps(dict(os.environ)))"


def test_variables_arrive_word_for_word_and_others_do_not(built: Built, tmp_path: Path) -> None:
    prefix = enter(built.image, "cpu", [Bind(tmp_path)], NASTY, workdir=tmp_path)
    secret = "$a`b\"c\\d,e'f"
    found = inside(
        prefix,
        ENVIRONMENT,
        **hidden({"HF_TOKEN": secret}),
        PYTHONPATH="/nowhere",
        LD_PRELOAD="/nowhere.so",
        SOMETHING="of the caller",
    )
    assert {name: found.get(name) for name in NASTY} == NASTY
    assert found["HF_TOKEN"] == secret
    assert not {"PYTHONPATH", "LD_PRELOAD", "SOMETHING"} & found.keys()
    assert found["PYTHONNOUSERSITE"] == "1"
    assert found["PWD"] == str(tmp_path)


def test_what_is_bound_can_be_read_and_only_some_of_it_written(built: Built, tmp_path: Path) -> None:
    places = {name: tmp_path / name for name in ("model, 7B", "out", "out/inner")}
    for folder in places.values():
        folder.mkdir()
        (folder / "file").write_text("text")
    binds = [Bind(places["out"], writable=True), Bind(places["out/inner"]), Bind(places["model, 7B"], at=Path("/mnt"))]
    program = f"""
import json, os
def writes(path):
    try:
        open(path, "w").close()
    except OSError as error:
        return error.strerror
    return True
print(json.dumps({{
    "model": [open("/mnt/file").read(), writes("/mnt/file")],
    "out": writes({str(places["out"] / "new")!r}),
    "inner": writes({str(places["out/inner"] / "new")!r}),
    "image": writes("/opt/new"),
    "home": writes({str(Path.home() / "xffl-bench-test")!r}),
}}))"""
    found = inside(enter(built.image, "cpu", binds, {}, workdir=places["out"]), program)
    assert found.pop("home") in ("Read-only file system", "No such file or directory")  # an image may have one
    assert found == {
        "model": ["text", "Read-only file system"],
        "out": True,
        "inner": "Read-only file system",
        "image": "Read-only file system",
    }
