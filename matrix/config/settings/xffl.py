"""The block `xffl` of a system file: settings of `xffl exec`."""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path

from pydantic import Field

from bench.contract.base import Document


class XfflSettings(Document):
    """The block `xffl` of a system file, for runs started by `xffl exec`."""

    command: str | None = Field(
        None, description="path of the program (`xffl` next to xffl-bench's interpreter, else from PATH)"
    )
    venv: str | None = Field(
        None, description="virtual environment of the ranks, at the same path on every host (that of xffl-bench)"
    )
    hosts: list[str] = Field(
        default_factory=list,
        description="host names for ssh, in node order (one loopback address per node: 127.0.0.1, 127.0.0.2, ...)",
    )
    ssh_options: list[str] = Field(
        default_factory=list, description="options for every call of ssh, for example [-F, /path/to/config]"
    )
    facility: str | None = Field(
        None, description="site script that every host sources before its ranks start, for example to load modules"
    )
    interface: str | None = Field(
        None, description="network interface for gloo and NCCL (lo if all hosts are loopback, else their own choice)"
    )

    def hosts_of(self, nodes: int) -> list[str]:
        """Return the hosts of the first `nodes` nodes, in node order."""
        first = ipaddress.IPv4Address("127.0.0.1")
        return self.hosts[:nodes] or [str(first + node) for node in range(nodes)]

    @property
    def is_loopback(self) -> bool:
        """True if all nodes are on this machine."""
        return all(host == "localhost" or host.startswith("127.") for host in self.hosts)

    def from_folder(self, folder: Path) -> XfflSettings:
        """Return a copy with absolute paths, relative to `folder`; a bare command is looked up in PATH later."""
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
