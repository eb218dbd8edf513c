"""Real things that a test needs and a machine may lack."""

from __future__ import annotations

import os
import warnings
from typing import NoReturn

import pytest

NO_SKIPS = "XFFL_BENCH_NO_SKIPS"


def missing(what: str, remedy: str) -> NoReturn:
    """Leave the test out, with a warning in the summary; where XFFL_BENCH_NO_SKIPS=1 promises all, it fails."""
    sentence = f"{what} is missing: {remedy}"
    if os.environ.get(NO_SKIPS) == "1":
        pytest.fail(sentence, pytrace=False)
    warnings.warn(f"not tested: {sentence}", stacklevel=2)
    pytest.skip(sentence)


def not_installable(what: str, remedy: str) -> NoReturn:
    """Leave the test out, with a warning in the summary, also where all is promised: CI cannot install this."""
    sentence = f"{what} is missing: {remedy}"
    warnings.warn(f"not tested: {sentence}", stacklevel=2)
    pytest.skip(sentence)
