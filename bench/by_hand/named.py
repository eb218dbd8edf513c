"""The configuration that the command `xffl exec` names, on every rank."""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import sys
import time
import traceback
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from torch.distributed.rendezvous import rendezvous

from bench.by_hand.command import DEFAULT, Named, visible
from bench.by_hand.errors import ConfigurationError

VARIABLE = "XFFL_BENCH_CONFIG"
"""Environment variable that names the configuration, FILE:CLASS, where the command cannot be seen."""

_REMEDY = f"export {VARIABLE}=FILE:CLASS in the facility script (`-f`)"

_stores: list[object] = []  # kept: the process group that is made later shares rank 0's server


def named(script: Path) -> Named:
    """Return what this rank should train.

    A rank that `xffl exec` did not start trains `config.py` beside the script.

    Raises:
        ConfigurationError: no host of the run sees the command, or several commands may be the one.

    """
    if given := os.environ.get(VARIABLE):
        path, _, name = given.partition(":")
        return Named(Path(path), name or DEFAULT)
    if "XFFL_EXECUTION" not in os.environ:
        return Named(script.with_name("config.py"))
    seen = visible(script)
    if int(os.environ["GROUP_WORLD_SIZE"]) > 1:
        seen = sorted(set(seen).union(*_seen_by_all(seen)))
    if not seen:
        raise ConfigurationError(
            f"no host of the run sees the command `xffl exec` that started {script}, which alone names the "
            f"configuration: {_REMEDY}"
        )
    if len(seen) > 1:
        said = " and ".join(f"{each.path}:{each.name}" for each in seen)
        raise ConfigurationError(f"several commands `xffl exec` may have started this rank, for {said}: {_REMEDY}")
    return seen[0]


def _seen_by_all(own: Sequence[Named]) -> list[list[Named]]:
    """Return what the first rank of every host sees: the command runs on one host only."""
    # As the process group that is made later, which shares its port. A busy file system delays imports for minutes.
    store, rank, world = next(rendezvous("env://", timeout=timedelta(minutes=10)))
    _stores.append(store)
    if int(os.environ["LOCAL_RANK"]) == 0:
        store.set(f"seen/{os.environ['GROUP_RANK']}", json.dumps([(str(each.path), each.name) for each in own]))
    nodes = min(int(os.environ["GROUP_WORLD_SIZE"]), world)  # others have no rank
    answers = [json.loads(store.get(f"seen/{node}")) for node in range(nodes)]
    store.add("read", 1)
    while rank == 0 and store.add("read", 0) < world:
        time.sleep(0.05)  # rank 0 has the server: it may not end before all have read
    return [[Named(Path(path), name) for path, name in answer] for answer in answers]


def load(asked: Named) -> Any:  # noqa: ANN401 - an XFFLConfig, which only the library has
    """Return an instance of the class in the file.

    Raises:
        ConfigurationError: the file or the class does not exist, or does not make a configuration.

    """
    place = asked.path
    if not place.is_file():
        raise ConfigurationError(f"{place}: no such file on {socket.gethostname()}: it should be on every host")
    specification = importlib.util.spec_from_file_location("config", place)
    if specification is None or specification.loader is None:
        raise ConfigurationError(f"{place}: the configuration should be a Python file (.py)")
    module = importlib.util.module_from_spec(specification)
    sys.modules["config"] = module  # dataclasses look their module up
    try:
        specification.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise ConfigurationError(_where(place, error)) from error
    from xffl.custom.config import XFFLConfig  # noqa: PLC0415 - an optional dependency, which the file has prepared

    known = {name: value for name, value in vars(module).items() if isinstance(value, type)}
    choices = [name for name, value in known.items() if issubclass(value, XFFLConfig) and value is not XFFLConfig]
    if asked.name not in choices:
        said = f"choose {' or '.join(choices)}" if choices else "it has no class derived from XFFLConfig"
        raise ConfigurationError(f"{place}: {asked.name!r} (-c) is not a configuration in this file: {said}")
    try:
        return known[asked.name]()
    except Exception as error:
        raise ConfigurationError(_where(place, error)) from error


def _where(place: Path, error: BaseException) -> str:
    """Return file, line and text of an exception, in one line."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(place)]
    line = error.lineno if isinstance(error, SyntaxError) else (lines or [None])[-1]
    text = " ".join(str(error).split())
    kind = type(error).__name__
    return f"{place}{f', line {line}' if line else ''}: {kind}{f': {text}' if text else ''}"
