"""What a combination was measured under: what must agree between nights, and what may explain a change.

Software may differ between nights: that is what they are compared for. All else that must agree between two rows of one
night must agree between nights too, or the figures are not comparable.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from operator import attrgetter

from bench.contract.results.measured import Measured
from bench.contract.run import Run
from bench.contract.shapes import Shape
from reports.data.comparable import ATTRIBUTES
from reports.data.words import shown

_OF_RUN, _OF_MEASURED = ATTRIBUTES["across-strategies"]
SOFTWARE = frozenset(
    f"provenance.{name}" for name in ("python", "packages", "commit", "diff", "xffl", "image", "driver")
)
"""What may differ between nights, and is then named beside what changed."""
UNSET = "unset"

Conditions = dict[str, str]
"""Values as text by dotted attribute: `training.precision`, `provenance.packages.torch`."""


def conditions(documents: Iterable[tuple[Run, Measured]], *, max_batch: bool = False) -> Conditions:
    """Return what must agree between nights, of a combination's completed runs.

    Args:
        documents: the runs, which may differ from each other: their values are then listed.
        max_batch: True if batch sizes are found, and need not be the same.

    """
    names = [name for name in (*_OF_RUN, *_OF_MEASURED) if name not in SOFTWARE]
    return _of(names if not max_batch else [name for name in names if name != "tokens_per_step"], documents)


def software(documents: Iterable[tuple[Run, Measured]]) -> Conditions:
    """Return the versions of the software that the runs were made with."""
    return _of([name for name in _OF_MEASURED if name in SOFTWARE], documents)


def differing(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    """Return what differs: `provenance.devices: A100 -> H100`. What only one of both knows at all does not count."""
    kinds = {name.rpartition(".")[0] for name in old.keys() & new.keys()}
    names = [name for name in dict.fromkeys((*old, *new)) if (name in old and name in new) or _is_key(name, kinds)]
    return [
        f"{name}: {old.get(name, UNSET)} -> {new.get(name, UNSET)}"
        for name in names
        if old.get(name, UNSET) != new.get(name, UNSET)
    ]


def _is_key(name: str, kinds: set[str]) -> bool:
    """Return True for a key of a mapping of which both sides have another key: a variable that only one had."""
    mapping = name.rpartition(".")[0]
    return mapping in kinds and (mapping.startswith("provenance.") or mapping == "system.environment")


def _of(names: list[str], documents: Iterable[tuple[Run, Measured]]) -> Conditions:
    found: dict[str, dict[str, None]] = {}
    of_run = set(_OF_RUN)
    for run, measured in documents:
        for name in names:
            value = attrgetter(name)(run if name in of_run else measured)
            for key, text in _texts(name, value):
                found.setdefault(key, {})[text] = None
    return {name: ", ".join(sorted(texts)) for name, texts in found.items()}


def _texts(name: str, value: object) -> Iterator[tuple[str, str]]:
    mapping = value.model_dump() if isinstance(value, Shape) else value
    if isinstance(mapping, dict):
        for key in sorted(mapping):
            yield f"{name}.{key}", shown(mapping[key])
    elif isinstance(value, list):  # devices: the same kinds agree, however many there are of each
        yield name, " + ".join(sorted({str(each) for each in value}))
    else:
        yield name, shown(value)
