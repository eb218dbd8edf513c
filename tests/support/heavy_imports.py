"""A program that calls the command line and says which heavy packages that imported."""

from __future__ import annotations

IMPORTS = """
import sys
sys.argv = {arguments!r}
import matrix.cli.app
try:
    matrix.cli.app.main()
finally:
    heavy = {{"torch", "transformers", "datasets", "wandb", "scipy.stats", "scipy.optimize"}} & sys.modules.keys()
    print("heavy:", sorted(heavy), file=sys.stderr)
"""
"""To be formatted with `arguments`: the words of the call."""
