"""What every document of the contract is built from, and the closed lists of values that several share."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

Precision = Literal["fp32", "bf16", "bf16-mixed"]
DType = Literal["fp32", "bf16"]
Regime = Literal["micro-batch", "global-batch"]
EngineName = Literal["native", "xffl"]
LauncherName = Literal["torchrun", "xffl"]
Affinity = Literal["none", "cores"]
AxisValue = bool | int | float | str


class Document(BaseModel):
    """Base of all that is written to a file: immutable, and no key that is not known.

    A loss that is not finite is written as "NaN" or "Infinity", so that a diverged run's result can be read again.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")
