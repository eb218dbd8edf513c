"""Look up models of the Hugging Face hub in its cache while planning, so that ranks never need the network."""

from __future__ import annotations

from pathlib import Path

from bench.host.hub_errors import described, hub_faults
from matrix.errors import InputError


def snapshot(repository: str, revision: str, *, online: bool, weights: bool) -> Path:
    """Return the folder of a repository in the hub's cache, downloading it if `online`.

    `weights` includes its safetensors files.

    Raises:
        InputError: the repository is not in the cache, or cannot be downloaded.

    """
    # Imported here so that only sweeps with such a model pay for it.
    from huggingface_hub import constants, snapshot_download  # noqa: PLC0415
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError  # noqa: PLC0415

    name = f"{repository} (revision {revision})"
    try:
        return Path(
            snapshot_download(
                repository,
                revision=revision,
                local_files_only=not online,
                allow_patterns=["*.json", "*.safetensors"] if weights else ["*.json"],
                ignore_patterns=["*/*", "consolidated*"],  # the same weights in the publisher's own format
            )
        )
    except HFValidationError as error:
        raise InputError(f"{repository!r} is not a valid repository name: write owner/name") from error
    except hub_faults() as error:  # tokens and networks are the user's responsibility
        if online or not isinstance(error, LocalEntryNotFoundError):
            raise InputError(f"{name} cannot be downloaded: {described(error)}") from error
        raise InputError(
            f"{name} is missing or incomplete in the hub's cache, {constants.HF_HUB_CACHE}: add `online: true` to "
            "download it"
        ) from error
