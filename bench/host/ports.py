"""Errors of a rendezvous store whose port another program has."""

from __future__ import annotations

from errno import EADDRINUSE, errorcode

from torch.distributed import DistNetworkError


def is_port_taken(error: BaseException) -> bool:
    """Return True if a store could not serve at its port; torch's error has the code's name as its only field."""
    return isinstance(error, DistNetworkError) and errorcode[EADDRINUSE] in str(error)
