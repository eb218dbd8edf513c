"""Programs and hosts that a test launches over: the stand-ins, or the real ones."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from matrix.launchers.base import free_port
from tests.support.needs import missing, not_installable
from tests.support.sweeps import wait_for

STANDINS = Path(__file__).parent


@dataclass(frozen=True)
class Place:
    """A program `xffl` and an ssh that reaches this machine under several names.

    Attributes:
        command: the program.
        ssh_options: what ssh needs.
        home: where a host's shell begins.
        variables: what the runner's environment needs.

    """

    command: Path
    ssh_options: list[str]
    home: Path
    variables: dict[str, str]

    def system(self, **xffl: object) -> dict[str, object]:
        """Keys of a system file, with more keys of its block `xffl`."""
        own = {"command": str(self.command), "ssh_options": self.ssh_options}
        return {"launcher": "xffl", "xffl": {**own, **xffl}}


def real_xffl() -> Path:
    """The program of the installed xFFL; skips the test where there is none."""
    program = Path(sys.executable).parent / "xffl"
    if find_spec("xffl") is None or not program.exists():
        not_installable("the real xFFL", "install it from its git repository into the environment of the tests")
    return program


@contextmanager
def place(folder: Path, program: str, ssh: str) -> Iterator[Place]:
    """`program` is standin or real, and so is `ssh`."""
    command = STANDINS / "xffl" if program == "standin" else real_xffl()
    if ssh == "standin":
        home = folder / "home"
        home.mkdir()
        path = f"{STANDINS}{os.pathsep}{os.environ['PATH']}"
        yield Place(command, [], home, {"STANDIN_HOME": str(home), "PATH": path})
        return
    with _daemon(folder / "sshd") as config:
        yield Place(command, ["-F", str(config)], Path.home(), {})


@contextmanager
def _daemon(folder: Path) -> Iterator[Path]:
    """A daemon of OpenSSH on 127.0.0.1 to 127.0.0.4 with keys of its own; gives the client's configuration."""
    program = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        missing("OpenSSH's daemon", "apt-get install openssh-server")
    folder.mkdir()
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    port = free_port()
    listen = "".join(f"ListenAddress 127.0.0.{number}\n" for number in range(1, 5))
    (folder / "sshd_config").write_text(
        f"Port {port}\n{listen}HostKey {folder}/host\nPidFile none\nAuthorizedKeysFile {folder}/user.pub\n"
        "StrictModes no\nUsePAM no\nPasswordAuthentication no\nMaxStartups 100\n",
        encoding="utf-8",
    )
    client = folder / "ssh_config"
    client.write_text(
        f"Port {port}\nIdentityFile {folder}/user\nIdentitiesOnly yes\nUserKnownHostsFile {folder}/known\n"
        "LogLevel ERROR\n",
        encoding="utf-8",
    )
    Path("/run/sshd").mkdir(exist_ok=True)  # where the daemon, started as root, wants to lock itself in
    command = [program, "-D", "-f", str(folder / "sshd_config"), "-E", str(folder / "log")]
    daemon = subprocess.Popen(command, start_new_session=True)
    try:
        reached = ["ssh", "-F", str(client), "-oBatchMode=yes", "-oStrictHostKeyChecking=no", "127.0.0.4", "true"]
        assert wait_for(lambda: subprocess.run(reached, check=False).returncode == 0, timeout=20), "sshd did not start"
        yield client
    finally:
        daemon.send_signal(signal.SIGTERM)
        daemon.wait(20)
