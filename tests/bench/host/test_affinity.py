"""Ranks on their own cores, and what is said where they have too few."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from bench.host.affinity import compact, own_cores, share
from bench.measure.window import oversubscribed
from tests.support.rank_records import record

TWO_THREADS = """
import json, os, sys, threading
from pathlib import Path
from bench.host.affinity import bind
from bench.contract.run import System
threading.Thread(target=threading.Event().wait, daemon=True).start()
bind(System(name="test", device="cpu", threads_per_rank=1, affinity=sys.argv[1]), 1, 2)
tasks = [int(task.name) for task in Path("/proc/self/task").iterdir()]
print(json.dumps([sorted(os.sched_getaffinity(task)) for task in tasks]))
"""


@pytest.mark.parametrize(
    ("cores", "places", "shares"),
    [
        ([0, 1, 2, 3], 2, [[0, 1], [2, 3]]),
        ([4, 5, 8, 9, 12], 2, [[4, 5], [8, 9]]),
        ([3], 1, [[3]]),
        ([2, 6], 3, [[2], [6], [2]]),
    ],
)
def test_ranks_have_equal_shares_or_take_cores_in_turn(cores: list[int], places: int, shares: list[list[int]]) -> None:
    assert [share(cores, place, places) for place in range(places)] == shares


@pytest.mark.parametrize(
    ("cores", "text"), [([], ""), ([5], "5"), ([0, 1], "0-1"), ([0, 1, 2, 3, 8], "0-3,8"), ([1, 3, 4], "1,3-4")]
)
def test_cores_as_a_text(cores: list[int], text: str) -> None:
    assert compact(cores) == text


@pytest.mark.parametrize("affinity", ["none", "cores"])
def test_all_threads_of_a_rank_are_bound_where_that_is_asked_for(affinity: str) -> None:
    done = subprocess.run([sys.executable, "-c", TWO_THREADS, affinity], capture_output=True, text=True, check=True)
    expected = own_cores() if affinity == "none" else share(own_cores(), 1, 2)
    assert json.loads(done.stdout) == [expected] * 2


@pytest.mark.parametrize(
    ("threads", "cores", "own", "said"),
    [
        (2, 4, [[0, 1, 2, 3], [0, 1, 2, 3]], False),
        (3, 4, [[0, 1, 2, 3], [0, 1, 2, 3]], True),
        (2, 3, [[0, 1, 2, 3], [0, 1, 2, 3]], True),  # a quota of the control group
        (2, 4, [[0, 1], [2, 3]], False),
        (3, 8, [[0, 1], [2, 3]], True),
        (1, 4, [[0], [0]], True),
        (2, 8, [[0, 1], [1, 2]], True),
    ],
)
def test_more_threads_than_cores_on_a_host_or_on_a_core(
    threads: int, cores: int, own: list[list[int]], said: bool
) -> None:
    assert oversubscribed([record(rank, cores, own[rank]) for rank in range(2)], threads) == said
    other = record(1, 4, [0, 1, 2, 3], host="b", machine="n")
    assert not oversubscribed([record(0, 4, [0, 1, 2, 3]), other], 4)


def test_virtual_hosts_share_the_cores_of_their_machine() -> None:
    here, there = record(0, 2, [0, 1]), record(1, 2, [0, 1], host="b")
    assert oversubscribed([here, there], 2)
    assert not oversubscribed([here, there], 1)
