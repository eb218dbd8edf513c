"""Errors of the Hugging Face hub's client, described in one sentence. The client is imported lazily."""

from __future__ import annotations


def hub_faults() -> tuple[type[Exception], ...]:
    """Return the exceptions of a failed download: HTTP errors, transport errors and disk errors."""
    from huggingface_hub.errors import HfHubHTTPError  # noqa: PLC0415

    # HTTP and transport errors share the base class of the HTTP library, which differs between 1.x and 2.x.
    transport = next(kind for kind in HfHubHTTPError.__mro__ if kind.__name__ == "HTTPError")
    assert issubclass(transport, Exception)
    return transport, OSError


def described(fault: Exception) -> str:
    """Describe a fault: the hub's answer, an unreachable hub, or how the download was interrupted."""
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError  # noqa: PLC0415

    answer = fault.__cause__ if isinstance(fault, LocalEntryNotFoundError) else fault
    if isinstance(answer, HfHubHTTPError):
        return f"the hub answered {answer.response.status_code}: {_first_line(answer)}"
    if isinstance(fault, LocalEntryNotFoundError):
        return "the hub could not be reached"
    if isinstance(fault, OSError):
        return _first_line(fault)
    return f"the connection to the hub was lost ({_first_line(fault)}): run the same command again"


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
