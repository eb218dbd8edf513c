"""What goes wrong between here and the Hugging Face hub, in one sentence. Imports its client where it is used."""

from __future__ import annotations


def hub_faults() -> tuple[type[Exception], ...]:
    """What the hub's client raises when it cannot download: answers, transport errors, and those of the disk."""
    from huggingface_hub.errors import HfHubHTTPError  # noqa: PLC0415

    # The client's answers and its transport's errors share their HTTP library's base; 1.x has another than 2.x.
    transport = next(kind for kind in HfHubHTTPError.__mro__ if kind.__name__ == "HTTPError")
    assert issubclass(transport, Exception)
    return transport, OSError


def described(fault: Exception) -> str:
    """What the hub answered, or that it could not be reached, or how the download broke off."""
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError  # noqa: PLC0415

    answer = fault.__cause__ if isinstance(fault, LocalEntryNotFoundError) else fault
    if isinstance(answer, HfHubHTTPError):
        return f"the hub answered {answer.response.status_code}: {_first_line(answer)}"
    if isinstance(fault, LocalEntryNotFoundError):
        return "the hub could not be reached"
    if isinstance(fault, OSError):
        return _first_line(fault)
    return f"the connection to the hub broke off ({_first_line(fault)}): run the same command again"


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
