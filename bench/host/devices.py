"""What torch finds to compute on, told to a caller that does not import it.

    python -m bench.host.devices

prints it as JSON.
"""

from __future__ import annotations

from bench.contract.base import Document


class Devices(Document):
    """A build of torch, and the GPUs that it finds."""

    torch: str
    cuda: str | None
    rocm: str | None
    gpus: list[str]


def devices() -> Devices:
    """Of this process."""
    import torch  # noqa: PLC0415 - who only reads the answer has no use for it

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return Devices(
        torch=torch.__version__,
        cuda=torch.version.cuda,
        rocm=torch.version.hip,
        gpus=[torch.cuda.get_device_name(index) for index in range(count)],
    )


if __name__ == "__main__":
    print(devices().model_dump_json())
