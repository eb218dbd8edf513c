"""The block `image` of a system file: the image that ranks run in, and what they see of their host."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Discriminator, Field, Tag

from bench.contract.base import Document
from matrix.host.paths import absolute


def _starting_at_the_root(path: str) -> str:
    if not path.startswith("/"):
        raise ValueError(f"should be an absolute path, not {path!r}")
    return path


class BindSettings(Document):
    """A folder or file of the host that is mounted into the container."""

    path: str = Field(
        description="folder or file on every host, relative to this file; `~` and environment variables are expanded"
    )
    at: Annotated[str, AfterValidator(_starting_at_the_root)] | None = Field(
        None, description="absolute path inside the container (the same as outside)"
    )
    writable: bool = Field(False, description="ranks may write to it")

    def from_folder(self, folder: Path) -> BindSettings:
        """Return a copy with an absolute path, relative to `folder`."""
        return self.model_copy(update={"path": absolute(folder, self.path)})


def _form(value: object) -> str:
    return "path" if isinstance(value, str) else "mapping"


_Bind = Annotated[Annotated[str, Tag("path")] | Annotated[BindSettings, Tag("mapping")], Discriminator(_form)]


class ImageSettings(Document):
    """The block `image` of a system file."""

    path: str = Field(
        description="image (SIF), the same path on every host, relative to this file; `~` and environment variables "
        "are expanded"
    )
    program: str | None = Field(
        None, description="name or path of the container program on the hosts (apptainer, else singularity, from PATH)"
    )
    scratch: str = Field(
        "/tmp",
        description="folder on the host for temporary files and caches; variables such as $SLURM_JOB_ID are expanded "
        "on the host",
    )
    binds: list[_Bind] = Field(
        default_factory=list, description="more mounts from the host: a path, or a mapping with the keys below"
    )
    code: str | None = Field(
        None, description="checkout of xffl-bench on every host that is used in place of the image's code"
    )

    @property
    def more(self) -> list[BindSettings]:
        """`binds` as mappings."""
        return [bind if isinstance(bind, BindSettings) else BindSettings(path=bind) for bind in self.binds]

    def from_folder(self, folder: Path) -> ImageSettings:
        """Return a copy with absolute paths, relative to `folder`.

        A bare program name is looked up, and the scratch folder expanded, on the host of the ranks.
        """
        program, code = self.program, self.code
        return self.model_copy(
            update={
                "path": absolute(folder, self.path),
                "program": absolute(folder, program) if program and "/" in program else program,
                "binds": [bind.from_folder(folder) for bind in self.more],
                "code": absolute(folder, code) if code else None,
            }
        )
