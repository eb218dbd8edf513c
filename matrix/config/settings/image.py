"""The block `image` of a system file: what ranks run in, and what they see of their host."""

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
    """A folder or file of the host that ranks see."""

    path: str = Field(
        description="folder or file of every host, relative to this file; `~` and environment variables are expanded"
    )
    at: Annotated[str, AfterValidator(_starting_at_the_root)] | None = Field(
        None, description="absolute path inside (the same as outside)"
    )
    writable: bool = Field(False, description="whether ranks may write there")

    def from_folder(self, folder: Path) -> BindSettings:
        """The same with a path that does not depend on the working directory."""
        return self.model_copy(update={"path": absolute(folder, self.path)})


def _form(value: object) -> str:
    return "path" if isinstance(value, str) else "mapping"


_Bind = Annotated[Annotated[str, Tag("path")] | Annotated[BindSettings, Tag("mapping")], Discriminator(_form)]


class ImageSettings(Document):
    """The image of a system's ranks."""

    path: str = Field(
        description="image (SIF), the same path on every host, relative to this file; `~` and environment variables "
        "are expanded"
    )
    program: str | None = Field(
        None, description="name or path of what enters it on a host (apptainer, else singularity, from PATH)"
    )
    scratch: str = Field(
        "/tmp",
        description="folder of the host for temporary files and caches; variables are expanded on the host, so that "
        "$SLURM_JOB_ID can be a part of it",
    )
    binds: list[_Bind] = Field(
        default_factory=list, description="more that ranks see of the host: a path, or a mapping of the keys below"
    )
    code: str | None = Field(
        None, description="checkout of xffl-bench on every host, whose code trains in place of the image's"
    )

    @property
    def more(self) -> list[BindSettings]:
        """What the user wants ranks to see."""
        return [bind if isinstance(bind, BindSettings) else BindSettings(path=bind) for bind in self.binds]

    def from_folder(self, folder: Path) -> ImageSettings:
        """The same with paths that do not depend on the working directory; a bare program stays to be looked up, and
        the scratch folder to be expanded, where ranks start.
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
