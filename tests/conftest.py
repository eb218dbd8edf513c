from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.support.built import Built
    from tests.support.ranks import Ranks

VOCABULARY = 256
LENGTH = 32


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse a test that would never run: `make test` looks for those to be run alone in tests/bench only."""
    bench = Path(__file__).parent / "bench"
    for item in items:
        if item.get_closest_marker("alone") and not item.path.is_relative_to(bench):
            raise pytest.UsageError(f"{item.nodeid}: a test that is run alone belongs into tests/bench")


@pytest.fixture(scope="session")
def ranks() -> Iterator[Ranks]:
    """Real ranks, shared by the session."""
    from tests.support.ranks import Ranks

    pool = Ranks()
    yield pool
    pool.close()


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small synthetic data set, shared by the session."""
    from bench.data.synthetic import SyntheticData, make_synthetic

    path = tmp_path_factory.mktemp("data") / "synthetic"
    make_synthetic(
        path, SyntheticData(vocab_size=VOCABULARY, sequence_length=LENGTH, train_samples=2048, val_samples=64)
    )
    return path


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root file system that images are made from."""
    from tests.support.images import apptainer, debian

    apptainer()
    return debian(tmp_path_factory.mktemp("base") / "debian")


@pytest.fixture(scope="session")
def built(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The image of this checkout, shared by the session."""
    from tests.support.built import build

    return build(base, tmp_path_factory.mktemp("image"))
