"""The columns of steps.parquet, by step and federated group."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

Floats = npt.NDArray[np.float64]
_COLUMNS = ("step", "group", "seconds", "tokens", "loss", "in_window")


@dataclass(frozen=True)
class StepTable:
    """steps.parquet of a run with `groups` federated groups."""

    table: pa.Table
    groups: int
    _columns: dict[str, Floats] = field(default_factory=dict)

    @classmethod
    def read(cls, content: bytes, groups: int) -> StepTable:
        """Return the table in the content of a file.

        Raises:
            OSError, ValueError, KeyError: it is not one; these are the types of pyarrow's errors.

        """
        # Threads cost more than these few columns, and so does the check whether a folder of files is meant.
        return cls(pq.ParquetFile(pa.BufferReader(content)).read(list(_COLUMNS), use_threads=False), groups)

    @cached_property
    def _order(self) -> npt.NDArray[np.int64]:
        """Indices of the rows, step after step and group after group."""
        return np.lexsort((self.table["group"].to_numpy(), self.table["step"].to_numpy()))

    def column(self, name: str) -> Floats:
        """Return a column, of shape (steps, groups).

        Raises:
            ValueError: not every group has the same number of rows.

        """
        if name not in self._columns:
            values: Floats = self.table[name].to_numpy()[self._order].astype(np.float64)
            self._columns[name] = values.reshape(-1, self.groups)
        return self._columns[name]
