"""The probe: tests of what the installed xFFL library really does.

    python -m bench.probe.probe --device cpu --command /path/of/xffl

prints one line of JSON (`bench.probe.findings.Findings`). Everything is imported once; each scenario of
`bench.probe.scenarios` then runs in its own forked ranks. Each rank on a GPU needs its own: with fewer GPUs than ranks,
facts that depend on the device stay "unknown", and the others are found on the CPU.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Literal

from bench.probe import findings
from bench.probe.findings import UNKNOWN, Fact, Findings, Seen
from bench.probe.forked import Ended, in_ranks
from bench.probe.image_mode import ImageMode
from bench.probe.scenarios import Scenario, devices, train, without_devices

Device = Literal["cpu", "cuda"]

_EVEN = Scenario(groups=(2, 2), shard=None, streams=1, samples=8)
_FOUR_STREAMS = Scenario(groups=(2, 2), shard=None, streams=4, samples=8)
_UNEQUAL = Scenario(groups=(4, 2), shard=2, streams=1, samples=None)
_UNEQUAL_STEPS = Scenario(groups=(4, 2), shard=2, streams=1, samples=16)


def probe(device: Device, command: Path | None) -> Findings:
    """Find all facts; one that cannot be found is "unknown", with the reason as its evidence.

    Raises:
        OSError: a process or file cannot be created.

    """
    begin = time.monotonic()
    for name in ("XFFL_IMAGE", "XFFL_FEDERATED_LOCAL_WORLD_SIZE"):  # these override xFFL's configuration
        os.environ.pop(name, None)
    with ExitStack() as stack:
        image = stack.enter_context(ImageMode(command)) if command else None
        found = _trainings(device)
        found["image_mode"] = image.read() if image else (UNKNOWN, "no xffl program was given")
    return Findings(
        facts={name: fact for name, (fact, _) in found.items()},
        evidence={name: evidence for name, (_, evidence) in found.items()},
        seconds=round(time.monotonic() - begin, 1),
    )


def _trainings(device: Device) -> dict[str, Fact]:
    one, four = _run(_EVEN, device), _run(_FOUR_STREAMS, device)
    return {
        "averaging": _fact(findings.averaging, one),
        # The samples of the groups do not depend on the device.
        "group_data": _fact(findings.group_data, _run(_EVEN, "cpu") if one.failure and device == "cuda" else one),
        "streams": _fact(findings.streams, one, four),
        "unequal_groups": _unequal_groups(device),
    }


def _unequal_groups(device: Device) -> Fact:
    """Try equally many steps in each group; if that works, the different numbers that one data set gives."""
    fact, evidence = _fact(findings.unequal_groups, ended := _run(_UNEQUAL, device))
    if fact == "mean":
        fact, evidence = _fact(findings.unequal_groups, ended := _run(_UNEQUAL_STEPS, device))
    return ("deadlock", ended.failure) if ended.stuck else (fact, evidence)


def _run(scenario: Scenario, device: Device) -> Ended:
    if device == "cuda" and devices() < scenario.world:
        return Ended([], f"needs {scenario.world} GPUs, but this machine has {devices()}")
    return in_ranks(partial(train, scenario), scenario.world, variables=without_devices() if device == "cpu" else {})


def _fact(judge: Callable[..., Fact], *ended: Ended) -> Fact:
    for each in ended:
        if each.failure:
            return UNKNOWN, each.failure
    return judge(*([Seen(**seen) for seen in each.seen] for each in ended))


def main() -> None:
    """Run the probe's command line. xFFL's output goes to standard error."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cpu", "cuda"], required=True, help="device of the ranks")
    parser.add_argument("--command", type=Path, help="path of the xffl program, to test its image mode")
    arguments = parser.parse_args()
    answer = os.dup(1)
    os.dup2(2, 1)
    found = probe(arguments.device, arguments.command)
    os.write(answer, found.model_dump_json().encode() + b"\n")


if __name__ == "__main__":
    main()
