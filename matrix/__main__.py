"""`python -m matrix` is `xffl-bench`."""

import importlib.util
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def leave_working_directory() -> None:
    """Take the working directory, which -m put first, out of the path of modules: nothing in it is code.

    If it is what these files were found in, as in a checkout that is not installed, it stays, and processes that are
    started from here get it by PYTHONPATH: they run the same code.
    """
    if sys.flags.safe_path:
        return
    del sys.path[0]
    bench = importlib.util.find_spec("bench")
    if bench is None or bench.origin is None or Path(bench.origin).resolve().parents[1] != ROOT:
        sys.path.insert(0, str(ROOT))
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))


if __name__ == "__main__":
    leave_working_directory()

    from matrix.cli.app import main

    main()
