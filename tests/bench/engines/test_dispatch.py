"""What a warm process imports, its forked ranks need not import again; the xFFL library waits to be asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import sys
import bench.training
print("bench.engines.native" in sys.modules, any(name.split(".")[0] == "xffl" for name in sys.modules))
"""


@pytest.mark.soak
def test_the_native_engine_is_imported_with_the_training() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout == "True False\n"
