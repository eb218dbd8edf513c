"""The command `xffl exec` that started this rank: it passes neither its configuration nor `-c` to the script."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import psutil

DEFAULT = "xffl_config"
"""Default of `-c`."""


@dataclass(frozen=True, order=True)
class Named:
    """The configuration file and the class in it that a command names."""

    path: Path
    name: str = DEFAULT


class _UnknownError(Exception):
    """Words that are not those of an `xffl exec`."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise _UnknownError(message)


def _parser() -> _Parser:
    # Not xFFL's own: it looks for files from the working directory of the process that parses.
    parser = _Parser(prog="xffl", add_help=False)
    parser.add_argument("-dbg", "--debug", action="store_true")
    execute = parser.add_subparsers(dest="command", required=True).add_parser("exec", add_help=False)
    execute.add_argument("executable", type=Path)
    execute.add_argument("configuration", type=Path)
    execute.add_argument("-c", "--config", default=DEFAULT)
    execute.add_argument("-n", "--nodelist", nargs="+")
    execute.add_argument("-ws", "--world-size")
    for names in (
        ("-f", "--facility"),
        ("-fs", "--federated-scaling"),
        ("-v", "--venv"),
        ("-i", "--image"),
        ("-ppn", "--processes-per-node"),
    ):
        execute.add_argument(*names)
    return parser


def read(words: Sequence[str], folder: Path, script: Path, ranks: Mapping[str, str]) -> Named | None:
    """Return what a process names, if it is the `xffl exec` of this script and of ranks with these variables.

    `words` are the process's command line, `folder` its working directory.
    """
    at = next((place for place, word in enumerate(words[:3]) if Path(word).name == "xffl"), None)
    if at is None:
        return None
    try:
        asked = _parser().parse_args(words[at + 1 :])
    except _UnknownError:
        return None
    world, nodes = asked.world_size or ranks.get("WORLD_SIZE"), asked.nodelist or [ranks.get("MASTER_ADDR")]
    is_ours = (
        (folder / asked.executable).resolve() == script
        and world == ranks.get("WORLD_SIZE")
        and nodes[0] == ranks.get("MASTER_ADDR")
        and (asked.nodelist is None or str(len(nodes)) == ranks.get("GROUP_WORLD_SIZE"))
    )
    return Named((folder / asked.configuration).resolve(), asked.config) if is_ours else None


def visible(script: Path) -> list[Named]:
    """Return what the commands of this user on this machine name that may have started this rank."""
    found: set[Named] = set()
    for process in psutil.process_iter():
        try:
            if process.uids().real == os.getuid() and (words := process.cmdline()):
                asked = read(words, Path(process.cwd()), script, os.environ)
                found |= {asked} if asked else set()
        except (psutil.Error, OSError):  # it has ended, or its working directory is gone
            continue
    return sorted(found)
