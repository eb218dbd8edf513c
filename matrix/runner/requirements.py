"""Check for packages that only some runs need, before anything starts."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec

from bench.contract.run import Run
from matrix.errors import InputError
from matrix.image.image import Image
from matrix.xffl.interpreter import installation


def check_wandb(runs: Iterable[Run], image: Image | None) -> None:
    """Check that wandb is installed if a run uses it, in the environment or image of the ranks.

    Raises:
        InputError: wandb is missing, or the image cannot be queried.

    """
    mode = next((run.wandb.mode for run in runs if run.wandb.mode != "disabled"), None)
    if mode is None:
        return
    if image is not None and installation(image.python("cpu")).wandb is None:
        raise InputError(
            f"wandb.mode: {mode!r} needs the package wandb, which {image.path} does not have: build the image with "
            "`xffl-bench image build --xffl`, or write `mode: disabled`"
        )
    if image is None and find_spec("wandb") is None:
        raise InputError(
            f"wandb.mode: {mode!r} needs the package wandb, which is not installed here: install "
            "xffl-bench[wandb], or write `mode: disabled`"
        )
