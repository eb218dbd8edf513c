"""The block `xffl` of a system file: how `xffl exec` is called."""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path

from pydantic import Field

from bench.contract.base import Document


class XfflSettings(Document):
    """The block `xffl` of a system file, for runs that `xffl exec` starts."""

    command: str | None = Field(
        None, description="path of the program (`xffl` beside the interpreter that runs xffl-bench, else from PATH)"
    )
    venv: str | None = Field(
        None, description="virtual environment of the ranks, the same path on every host (that of xffl-bench)"
    )
    hosts: list[str] = Field(
        default_factory=list,
        description="names for ssh, in node order (one loopback address for each node: 127.0.0.1, 127.0.0.2, ...)",
    )
    ssh_options: list[str] = Field(
        default_factory=list, description="what every ssh is called with, for instance [-F, /path/of/a/config]"
    )
    facility: str | None = Field(
        None, description="script of the site that every host sources before its ranks start, for instance for modules"
    )
    interface: str | None = Field(
        None, description="network interface of gloo and NCCL (lo where all hosts are loopback, else their own choice)"
    )

    def hosts_of(self, nodes: int) -> list[str]:
        """Where the nodes of a run are, in node order."""
        first = ipaddress.IPv4Address("127.0.0.1")
        return self.hosts[:nodes] or [str(first + node) for node in range(nodes)]

    @property
    def is_loopback(self) -> bool:
        """Whether this machine plays all nodes."""
        return all(host == "localhost" or host.startswith("127.") for host in self.hosts)

    def from_folder(self, folder: Path) -> XfflSettings:
        """The same with paths that do not depend on the working directory; a bare command stays to be looked up."""
        paths = {"venv": self.venv, "facility": self.facility}
        if self.command is not None and "/" in self.command:
            paths["command"] = self.command
        return self.model_copy(
            update={
                name: os.path.normpath(folder / Path(path).expanduser())
                for name, path in paths.items()
                if path is not None
            }
        )
