"""The probe: what the xFFL library that is installed here really does, found out by letting it do it.

    python -m bench.probe.probe --device cpu --command /path/of/xffl

prints one line of JSON (`bench.probe.findings.Findings`). Everything is imported once; each scenario of
`bench.probe.scenarios` then runs in forked ranks of its own. A rank on a GPU gets one to itself: where there are fewer
than ranks, what depends on the device stays "unknown", and what does not is found on the CPU.
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
    """Find all facts; what cannot be found is "unknown", with the reason as its evidence.

    Raises:
        OSError: no processes or files could be made.

    """
    begin = time.monotonic()
    for name in ("XFFL_IMAGE", "XFFL_FEDERATED_LOCAL_WORLD_SIZE"):  # they change what xFFL makes of a configuration
        os.environ.pop(name, None)
    with ExitStack() as stack:
        image = stack.enter_context(ImageMode(command)) if command else None
        found = _trainings(device)
        found["image_mode"] = image.read() if image else (UNKNOWN, "no program xffl was named")
    return Findings(
        facts={name: fact for name, (fact, _) in found.items()},
        evidence={name: evidence for name, (_, evidence) in found.items()},
        seconds=round(time.monotonic() - begin, 1),
    )


def _trainings(device: Device) -> dict[str, Fact]:
    one, four = _run(_EVEN, device), _run(_FOUR_STREAMS, device)
    return {
        "averaging": _fact(findings.averaging, one),
        # Which samples groups get has nothing to do with the device.
        "group_data": _fact(findings.group_data, _run(_EVEN, "cpu") if one.failure and device == "cuda" else one),
        "streams": _fact(findings.streams, one, four),
        "unequal_groups": _unequal_groups(device),
    }


def _unequal_groups(device: Device) -> Fact:
    """With as many steps in each group; only where that is right, with those that one data set gives them."""
    fact, evidence = _fact(findings.unequal_groups, ended := _run(_UNEQUAL, device))
    if fact == "mean":
        fact, evidence = _fact(findings.unequal_groups, ended := _run(_UNEQUAL_STEPS, device))
    return ("deadlock", ended.failure) if ended.stuck else (fact, evidence)


def _run(scenario: Scenario, device: Device) -> Ended:
    if device == "cuda" and devices() < scenario.world:
        return Ended([], f"needs {scenario.world} GPUs, and here are {devices()}")
    return in_ranks(partial(train, scenario), scenario.world, variables=without_devices() if device == "cpu" else {})


def _fact(judge: Callable[..., Fact], *ended: Ended) -> Fact:
    for each in ended:
        if each.failure:
            return UNKNOWN, each.failure
    return judge(*([Seen(**seen) for seen in each.seen] for each in ended))


def main() -> None:
    """Command line of the probe. What xFFL prints goes to standard error."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cpu", "cuda"], required=True, help="what ranks compute on")
    parser.add_argument("--command", type=Path, help="the program xffl, to try its image mode")
    arguments = parser.parse_args()
    answer = os.dup(1)
    os.dup2(2, 1)
    found = probe(arguments.device, arguments.command)
    os.write(answer, found.model_dump_json().encode() + b"\n")


if __name__ == "__main__":
    main()
