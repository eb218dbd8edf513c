"""The GPUs that torch finds, for callers that do not import torch.

    python -m bench.host.devices

prints them as JSON.
"""

from __future__ import annotations

from bench.contract.base import Document


class Devices(Document):
    """A build of torch and the GPUs that it finds."""

    torch: str
    cuda: str | None
    rocm: str | None
    gpus: list[str]


def devices() -> Devices:
    """Return the devices that this process can use."""
    import torch  # noqa: PLC0415 - readers of the JSON do not need it

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return Devices(
        torch=torch.__version__,
        cuda=torch.version.cuda,
        rocm=torch.version.hip,
        gpus=[torch.cuda.get_device_name(index) for index in range(count)],
    )


if __name__ == "__main__":
    print(devices().model_dump_json())
