"""Building an image: whole or not at all, with its digest and the list of its packages beside it."""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.contract.files import write_whole
from matrix.errors import InputError
from matrix.image.apptainer import ImageError, crossing, output_of
from matrix.image.base import Base, Device
from matrix.image.context import DEFINITION, Checkout, lay_out

FREEZE = "/opt/xffl-bench/freeze.txt"
"""All Python packages of an image, inside it."""

PACKED = "-comp zstd -Xcompression-level 3"
"""For mksquashfs. gzip, its default, took several times as long."""

_PASSED_ON = re.compile(r"PIP_\w+|(https?|no|all)_proxy|(HTTPS?|NO|ALL)_PROXY")


@dataclass(frozen=True)
class Build:
    """What is built, of what, where and with what.

    Attributes:
        xffl: whether the xFFL library goes in.
        binds: folders and files that the build is to see, in the program's own words.
        tmp: the folder for what is there only while it is built.

    """

    checkout: Checkout
    base: Base
    device: Device
    xffl: bool
    out: Path
    program: Path
    tmp: Path
    binds: tuple[str, ...] = ()

    @property
    def arguments(self) -> dict[str, str]:
        """What the definition is told."""
        return {
            "BOOTSTRAP": self.base.bootstrap,
            "FROM": self.base.name,
            "DEVICE": self.device,
            "XFFL": self.checkout.xffl_commit if self.xffl else "none",
            "VERSION": self.checkout.version,
            "COMMIT": self.checkout.commit,
            "LOCK": self.checkout.lock_digest,
        }

    def command(self, target: Path, *, packs: bool, is_root: bool) -> list[str]:
        """The program's call, in the folder that was laid out. Users that are not root build as root of a namespace."""
        words = [str(self.program), "build"]
        words += [] if is_root else ["--fakeroot"]
        words += ["--mksquashfs-args", PACKED] if packs else []
        for bind in self.binds:
            words += ["--bind", bind]
        for name, value in self.arguments.items():
            words += ["--build-arg", f"{name}={value}"]
        return [*words, str(target), DEFINITION]


def passed_on(environment: Mapping[str, str]) -> dict[str, str]:
    """Of the caller's variables those that the build gets: pip's settings, and the proxies of the site."""
    return {name: value for name, value in sorted(environment.items()) if _PASSED_ON.fullmatch(name)}


def digest_file(image: Path) -> Path:
    """Where an image's SHA-256 lies, in the form of `sha256sum`."""
    return image.with_name(f"{image.name}.sha256")


def freeze_file(image: Path) -> Path:
    """Where the list of an image's packages lies."""
    return image.with_name(f"{image.name}.freeze.txt")


def digest_of(image: Path) -> str:
    """SHA-256 of an image."""
    with image.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_out(out: Path) -> None:
    """Raises InputError: no image can be written there."""
    if out.suffix != ".sif":
        raise InputError(f"--out {out}: should end in .sif")
    if out.is_dir() or not out.parent.is_dir() or not os.access(out.parent, os.W_OK):
        raise InputError(f"--out {out}: {out.parent} should be a folder that can be written to, and {out} no folder")


def described(build: Build) -> str:
    """What would be done, for people to read and to type."""
    command = build.command(build.out, packs=_packs(build.program), is_root=os.geteuid() == 0)
    files = "\n".join(f"  source/{file}" for file in build.checkout.files)
    return (
        f"{len(build.checkout.files)} files that git tracks in {build.checkout.root}, laid out below {build.tmp}:\n"
        f"{files}\nand there\n"
        f"  APPTAINER_TMPDIR={shlex.quote(str(build.tmp))} {shlex.join(command)}"
    )


def make(build: Build) -> str:
    """Build the image and what lies beside it; returns the image's SHA-256.

    What the program prints goes to the terminal. Until all has gone well, `out` is as it was.

    Raises:
        ImageError: the program failed; nothing was written.
        OSError: a file could not be written.

    """
    beside = build.out.with_name(f".{build.out.name}.{os.getpid()}")
    work = Path(tempfile.mkdtemp(prefix="xffl-bench-image-", dir=build.tmp))
    try:
        lay_out(build.checkout, work / "context")
        command = build.command(beside.absolute(), packs=_packs(build.program), is_root=os.geteuid() == 0)
        variables = {"APPTAINER_TMPDIR": str(work), "SINGULARITY_TMPDIR": str(work)}
        variables |= crossing(build.program, passed_on(os.environ))
        status = _status_of(command, work / "context", {**os.environ, **variables})
        if status != 0:
            raise ImageError(f"`{build.program.name} build` ended with status {status}: nothing was written")
        packages = output_of([*inside(build.program, beside), "cat", FREEZE])
        digest = digest_of(beside)
        told = {digest_file: f"{digest}  {build.out.name}\n", freeze_file: packages}
        for file, text in told.items():
            write_whole(file(beside), text)
        for file in told:
            file(beside).replace(file(build.out))
        beside.replace(build.out)
    finally:
        for left in (beside, digest_file(beside), freeze_file(beside)):
            left.unlink(missing_ok=True)
        shutil.rmtree(work, ignore_errors=True)  # what a namespace's root made, its own end has removed
    return digest


def inside(program: Path, image: Path, options: Sequence[str] = ()) -> list[str]:
    """The words before a command that is to see nothing but the image."""
    return [str(program), "exec", "--cleanenv", "--no-home", "--pwd", "/", *options, str(image)]


def _status_of(command: Sequence[str], folder: Path, variables: Mapping[str, str]) -> int:
    """Call the program. A Ctrl-C reaches it, too, and it gets the time to take down what it has mounted."""
    process = subprocess.Popen(command, cwd=folder, env=variables, stdin=subprocess.DEVNULL)
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.wait()
        raise


def _packs(program: Path) -> bool:
    """Whether the program lets mksquashfs be told how to compress."""
    try:
        return "--mksquashfs-args" in output_of([program, "build", "--help"], limit=60.0)
    except ImageError as error:
        raise InputError(f"{program}: is no Apptainer and no Singularity: {error}") from error
