"""Build an image atomically, with its digest and package list next to it."""

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

from bench.contract.storage.atomic import write_whole
from matrix.errors import InputError
from matrix.image.apptainer import ImageError, crossing, output_of
from matrix.image.base import Base, Device
from matrix.image.context import DEFINITION, Checkout, lay_out

FREEZE = "/opt/xffl-bench/freeze.txt"
"""List of all Python packages, inside an image."""

PACKED = "-comp zstd -Xcompression-level 3"
"""Options for mksquashfs. Its default, gzip, took several times as long."""

_PASSED_ON = re.compile(r"PIP_\w+|(https?|no|all)_proxy|(HTTPS?|NO|ALL)_PROXY")


@dataclass(frozen=True)
class Build:
    """All inputs of a build.

    Attributes:
        xffl: include the xFFL library.
        binds: folders and files visible to the build, in the program's syntax.
        tmp: folder for temporary files.

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
        """The build arguments of the definition file."""
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
        """Return the command, to be run in the build context. Users other than root build with --fakeroot."""
        words = [str(self.program), "build"]
        words += [] if is_root else ["--fakeroot"]
        words += ["--mksquashfs-args", PACKED] if packs else []
        for bind in self.binds:
            words += ["--bind", bind]
        for name, value in self.arguments.items():
            words += ["--build-arg", f"{name}={value}"]
        return [*words, str(target), DEFINITION]


def passed_on(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the caller's variables that are passed to the build: pip's settings and proxies."""
    return {name: value for name, value in sorted(environment.items()) if _PASSED_ON.fullmatch(name)}


def digest_file(image: Path) -> Path:
    """Return the path of an image's SHA-256 file, in the format of `sha256sum`."""
    return image.with_name(f"{image.name}.sha256")


def freeze_file(image: Path) -> Path:
    """Return the path of an image's package list."""
    return image.with_name(f"{image.name}.freeze.txt")


def image_digest(image: Path) -> str:
    """Return the SHA-256 of an image."""
    with image.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_out(out: Path) -> None:
    """Check that an image can be written to a path.

    Raises:
        InputError: the path does not end in .sif, is a folder, or its folder is not writable.

    """
    if out.suffix != ".sif":
        raise InputError(f"--out {out}: should end in .sif")
    if out.is_dir() or not out.parent.is_dir() or not os.access(out.parent, os.W_OK):
        raise InputError(f"--out {out}: should be a file in a writable folder")


def described(build: Build) -> str:
    """Return a description of the build: the files of the context and the command."""
    command = build.command(build.out, packs=_packs(build.program), is_root=os.geteuid() == 0)
    files = "\n".join(f"  source/{file}" for file in build.checkout.files)
    return (
        f"{len(build.checkout.files)} files that git tracks in {build.checkout.root}, copied to a folder in "
        f"{build.tmp}:\n{files}\ncommand, run there:\n"
        f"  APPTAINER_TMPDIR={shlex.quote(str(build.tmp))} {shlex.join(command)}"
    )


def make(build: Build) -> str:
    """Build the image, its digest file and its package list; return the image's SHA-256.

    The program's output goes to the terminal. `out` is replaced only after everything has succeeded.

    Raises:
        ImageError: the program failed; nothing was written.
        OSError: a file could not be written.

    """
    temporary = build.out.with_name(f".{build.out.name}.{os.getpid()}")
    work = Path(tempfile.mkdtemp(prefix="xffl-bench-image-", dir=build.tmp))
    try:
        lay_out(build.checkout, work / "context")
        command = build.command(temporary.absolute(), packs=_packs(build.program), is_root=os.geteuid() == 0)
        variables = {"APPTAINER_TMPDIR": str(work), "SINGULARITY_TMPDIR": str(work)}
        variables |= crossing(build.program, passed_on(os.environ))
        status = _status_of(command, work / "context", {**os.environ, **variables})
        if status != 0:
            raise ImageError(f"`{build.program.name} build` failed with status {status}: nothing was written")
        packages = output_of([*inside(build.program, temporary), "cat", FREEZE])
        digest = image_digest(temporary)
        sidecars = {digest_file: f"{digest}  {build.out.name}\n", freeze_file: packages}
        for file, text in sidecars.items():
            write_whole(file(temporary), text)
        for file in sidecars:
            file(temporary).replace(file(build.out))
        temporary.replace(build.out)
    finally:
        for left in (temporary, digest_file(temporary), freeze_file(temporary)):
            left.unlink(missing_ok=True)
        shutil.rmtree(work, ignore_errors=True)  # files of the namespace's root were removed when the namespace ended
    return digest


def inside(program: Path, image: Path, options: Sequence[str] = ()) -> list[str]:
    """Return the command prefix that runs a command in the image, isolated from the host."""
    return [str(program), "exec", "--cleanenv", "--no-home", "--pwd", "/", *options, str(image)]


def _status_of(command: Sequence[str], folder: Path, variables: Mapping[str, str]) -> int:
    """Run the program and return its status. A Ctrl-C reaches it too; it gets time to unmount."""
    process = subprocess.Popen(command, cwd=folder, env=variables, stdin=subprocess.DEVNULL)
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.wait()
        raise


def _packs(program: Path) -> bool:
    """Return True if the program accepts options for mksquashfs."""
    try:
        return "--mksquashfs-args" in output_of([program, "build", "--help"], limit=60.0)
    except ImageError as error:
        raise InputError(f"{program}: is neither Apptainer nor Singularity: {error}") from error
