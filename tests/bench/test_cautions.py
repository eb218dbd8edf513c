"""What a run says of its own figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.contract import Library
from bench.outcomes import Caution
from bench.training import cautions
from tests.bench.runs import make_run

FOUND = Library(
    version="0",
    commit=None,
    digest="0",
    averaging="mean",
    group_data="same",
    streams="inert",
    unequal_groups="wrong",
    image_mode="crashes",
)


@pytest.mark.parametrize(
    ("streams", "change", "warned"),
    [
        (4, {"engine": "xffl", "library": FOUND}, True),
        (4, {"engine": "xffl", "library": FOUND.model_copy(update={"streams": "used"})}, False),
        (1, {"engine": "xffl", "library": FOUND}, False),
        (4, {}, False),
    ],
)
def test_streams_that_the_library_ignores_are_told(streams: int, change: dict[str, Any], warned: bool) -> None:
    run = make_run(Path(), (2, 1, 2), cuda_streams=streams).model_copy(update=change)
    assert (Caution.IGNORED_STREAMS in cautions(run, [], blocks=4, repeated=False)) == warned
