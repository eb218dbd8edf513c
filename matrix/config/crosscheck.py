"""Checks across the keys of a matrix file, which a schema cannot express. One check per function."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from bench.contract.base import AxisValue
from bench.contract.layout import USED_SETTINGS, StrategySettings
from bench.contract.shapes import STOCK
from matrix.config.reading.validation import Fault
from matrix.config.reading.yamlfile import Location
from matrix.config.sweep import LARGEST_SWEEP, MatrixFile
from matrix.config.system import system_fault
from matrix.config.values import NamedModel, NamedStrategy
from matrix.errors import as_text, suggestion
from matrix.host.paths import unset_fault


def faults(sweep: MatrixFile) -> Iterator[Fault]:
    """Yield every inconsistency between the keys of a matrix file."""
    for check in (
        _size,
        _names,
        _meanings,
        _settings,
        _included,
        _excluded,
        _overrides,
        _training,
        _length,
        _block,
        _validations,
        _regime,
        _compare,
        _best_of,
        _reference,
        _paths,
        _seeds,
        _wandb,
    ):
        yield from check(sweep)


def _size(sweep: MatrixFile) -> Iterator[Fault]:
    """Check that the product of the axes can be planned and shown, before it is expanded."""
    if sweep.combinations > LARGEST_SWEEP:
        longest = sorted(sweep.all_labels.items(), key=lambda axis: -len(axis[1]))[:3]
        lengths = ", ".join(f"{axis} {len(labels):,}" for axis, labels in longest if len(labels) > 1)
        yield (
            ("axes",),
            f"has {sweep.combinations:,} combinations, more than {LARGEST_SWEEP:,}: shorten the longest lists "
            f"({lengths}), or add the combinations that matter with `include` rather than as a product",
        )


def _names(sweep: MatrixFile) -> Iterator[Fault]:
    """Check that plain names refer to known models and strategies."""
    for axis, known in _known_names(sweep).items():
        for location, value in _unknown(sweep, axis):
            yield location, f"{value!r} is not a known {axis}{suggestion(value, known)}"


def _known_names(sweep: MatrixFile) -> dict[str, Collection[str]]:
    return {"model": sweep.model_names, "strategy": sweep.strategy_settings}


def _unknown(sweep: MatrixFile, axis: str) -> list[tuple[Location, str]]:
    """Return the plain names on an axis that are not known, with their places."""
    known = _known_names(sweep).get(axis)
    if known is None:
        return []
    values = ((place, value) for place, name, value in sweep.placed_values() if name == axis)
    return [(place, value) for place, value in values if isinstance(value, str) and value not in known]


def _meanings(sweep: MatrixFile) -> Iterator[Fault]:
    """Check that each name has one meaning."""
    meanings: dict[tuple[str, str], object] = {("model", name): shape for name, shape in STOCK.items()}
    meanings |= {("strategy", name): None for name in USED_SETTINGS}
    for location, axis, value in sweep.placed_values():
        if isinstance(value, NamedModel | NamedStrategy) and meanings.setdefault((axis, value.name), value) != value:
            yield (*location, "name"), f"{value.name!r} already names another {axis}: choose another name"


def _settings(sweep: MatrixFile) -> Iterator[Fault]:
    """Check that every strategy has the settings it needs, and no others."""
    for kind, settings in sweep.strategies.items():
        yield from _unused(("strategies", kind), kind, settings)
    for location, axis, value in sweep.placed_values():
        if axis == "strategy" and isinstance(value, str) and value in USED_SETTINGS:
            settings = sweep.strategy_settings[value][1]
            for missing in _missing(value, settings):
                yield location, f"{value} needs the setting {missing}: give it under strategies.{value}"
        if isinstance(value, NamedStrategy):
            yield from _unused((*location, value.kind), value.kind, value.settings)
            for missing in _missing(value.kind, value.settings):
                yield (*location, value.kind), f"{value.kind} needs the setting {missing}"


def _unused(location: Location, kind: str, settings: StrategySettings) -> Iterator[Fault]:
    for key in sorted(settings.model_dump(exclude_none=True).keys() - USED_SETTINGS[kind]):
        used = ", ".join(sorted(USED_SETTINGS[kind])) or "no settings"
        yield (*location, key), f"is not a setting of {kind}, which has {used}: remove it"


def _missing(kind: str, settings: StrategySettings) -> Iterator[str]:
    given = settings.model_dump(exclude_none=True).keys()
    for key in sorted(USED_SETTINGS[kind] - {"group", "groups"} - given):
        yield f"'{key}'"
    if "groups" in USED_SETTINGS[kind] and not given & {"group", "groups"}:
        yield "'group' (a size) or 'groups' (a count)"


def _included(sweep: MatrixFile) -> Iterator[Fault]:
    """Check that includes use only axes of the sweep: other combinations would have no value on a new one."""
    for place, lists in enumerate(sweep.include):
        for axis in lists.labels:
            if axis not in sweep.labels:
                yield ("include", place, axis), f"is not an axis of this sweep: give its usual value under axes.{axis}"


def _match(
    location: Location, match: Mapping[str, list[AxisValue]], known: dict[str, list[AxisValue]]
) -> Iterator[Fault]:
    for axis, labels in match.items():
        if axis not in known:
            yield (*location, axis), f"is not an axis of this sweep{suggestion(axis, known)}"
            continue
        for place, name in enumerate(labels):
            if name not in known[axis]:
                text = f"{as_text(name)} is not a value of the axis {axis}{suggestion(name, known[axis])}"
                yield (*location, axis, place), text


def _excluded(sweep: MatrixFile) -> Iterator[Fault]:
    """Check that exclusions name existing axes and values."""
    for place, match in enumerate(sweep.exclude):
        yield from _match(("exclude", place), match, sweep.labels)


def _overrides(sweep: MatrixFile) -> Iterator[Fault]:
    """Check that overrides match existing values and do not change an axis, which would make labels untrue."""
    for place, override in enumerate(sweep.overrides):
        yield from _match(("overrides", place, "when"), override.when, sweep.all_labels)
        for key in override.changes.keys() & sweep.axes.labels.keys():
            yield ("overrides", place, "set", key), "is an axis of this sweep, which an override cannot change"


def _training(sweep: MatrixFile) -> Iterator[Fault]:
    """Check that a field of `training` is given once."""
    for key in sorted(sweep.training.model_fields_set & sweep.axes.labels.keys()):
        yield ("training", key), f"is also an axis: give it here or under axes.{key}"


def _length(sweep: MatrixFile) -> Iterator[Fault]:
    """Check that the length of the training is given either in steps or in epochs."""
    if sweep.uses("steps") and sweep.uses("epochs"):
        yield ("training",), "should give its length in `steps` or in `epochs`, not both: keep one of them"


def _block(sweep: MatrixFile) -> Iterator[Fault]:
    """Check that a block holds whole averaging intervals, so that all blocks are alike."""
    for every in sorted(sweep.intervals):
        if sweep.block_steps % every:
            yield (
                ("block",),
                f"should be a multiple of every interval of the sweep: {sweep.block} is not a multiple of {every}",
            )


def _validations(sweep: MatrixFile) -> Iterator[Fault]:
    """Check that validations come after whole blocks, when all federated groups have one model."""
    block = sweep.block_steps
    for location, every in _everywhere(sweep, "validate_every"):
        if isinstance(every, int) and every % block:
            yield (
                location,
                f"{every} is not a multiple of the block ({block}), at whose end all federated groups have one model: "
                f"use {max(block, every // block * block)}",
            )


def _regime(sweep: MatrixFile) -> Iterator[Fault]:
    """Check what belongs to the search for the largest batch, and that nothing needs the batch size before it."""
    if sweep.regime != "max-batch":
        only = f"applies only with regime: max-batch, not {sweep.regime}: remove it"
        if "max_batch" in sweep.model_fields_set:
            yield ("max_batch",), only
        if sweep.limits.trial_seconds is not None:
            yield ("limits", "trial_seconds"), only
        return
    for location, axis, value in sweep.placed_values():
        if axis == "batch_size" and isinstance(value, int) and value > sweep.max_batch.limit:
            yield location, f"{value} is more than max_batch.limit, {sweep.max_batch.limit}: raise that, or start lower"
    for location, _ in _everywhere(sweep, "epochs"):
        yield location, "cannot be turned into steps before the batch size is found: give `steps` instead"
    for location, _ in _everywhere(sweep, "start_from"):
        yield (
            location,
            "continues with its checkpoint's batch size, and regime: max-batch finds another: remove it",
        )


def _compare(sweep: MatrixFile) -> Iterator[Fault]:
    """Check that compared axes exist, have something to compare, and are no others than rows can be."""
    known = sweep.all_labels
    for place, axis in enumerate(sweep.compare):
        if axis in ("model", "nodes"):
            what = "node counts are the columns of a table" if axis == "nodes" else "each model has tables of its own"
            yield ("compare", place), f"{axis} cannot be compared, because {what}: remove it"
        elif axis not in known:
            yield ("compare", place), f"{axis} is not an axis of this sweep{suggestion(axis, known)}"
        elif len(known[axis]) == 1 and axis != "strategy":
            yield ("compare", place), f"{axis} has one value in this sweep: name an axis with several"


def _best_of(sweep: MatrixFile) -> Iterator[Fault]:
    """Check that tuned axes exist, have a choice, and are not compared at the same time."""
    known = sweep.all_labels
    for place, axis in enumerate(sweep.best_of):
        location = ("best_of", place)
        if axis in ("model", "nodes", "strategy"):
            yield location, f"{axis} is nothing to tune within a row of a table: remove it"
        elif axis not in known:
            yield location, f"{axis} is not an axis of this sweep{suggestion(axis, known)}"
        elif len(known[axis]) == 1:
            yield location, f"{axis} has one value in this sweep: name an axis with several"
        elif axis in sweep.compared:
            yield location, f"{axis} is compared: remove it here, or from `compare`"


def _reference(sweep: MatrixFile) -> Iterator[Fault]:
    """Check that the reference names values of the sweep, of axes that are compared or have one value."""
    for axis, name in sweep.reference.labels.items():
        if axis not in sweep.all_labels:
            yield ("reference", axis), f"is not an axis of this sweep{suggestion(axis, sweep.all_labels)}"
            continue
        known = sweep.all_labels[axis]
        if axis not in {"nodes", *sweep.compared} and len(known) > 1:
            yield ("reference", axis), f"is not compared: add {axis} to `compare`, or remove it here"
        if name not in known and not _unknown(sweep, axis):  # mended, the value may be the one that is meant
            yield ("reference", axis), f"{as_text(name)} is not a value of the axis {axis}{suggestion(name, known)}"


def _paths(sweep: MatrixFile) -> Iterator[Fault]:
    """Check that paths use known variables and home folders, and that a system is a path or built in."""
    paths: list[tuple[Location, str]] = [(("data", "path"), sweep.data.path), (("system",), sweep.system)]
    for location, _, value in sweep.placed_values():
        if isinstance(value, NamedModel) and value.path is not None:
            paths.append(((*location, "path"), value.path))
    paths += [(location, str(path)) for location, path in _everywhere(sweep, "start_from")]
    for location, path in paths:
        if fault := unset_fault(path):
            yield location, fault
        try:
            Path(path).expanduser()
        except RuntimeError:
            yield location, f"uses an unknown home folder: {path}"
    if fault := system_fault(sweep.system):
        yield ("system",), fault


def _everywhere(sweep: MatrixFile, field: str) -> Iterator[tuple[Location, object]]:
    """Yield the location and value of a field of `training` wherever it is given; a default has the block's place."""
    if (value := getattr(sweep.training, field)) is not None:
        yield ("training", field), value
    for place, override in enumerate(sweep.overrides):
        if (value := override.changes.get(field)) is not None:
            yield ("overrides", place, "set", field), value
    for location, axis, value in sweep.placed_values():
        if axis == field:
            yield location, value


def _seeds(sweep: MatrixFile) -> Iterator[Fault]:
    """Check that torch can be seeded in every repeat: repeat r uses seed + r."""
    largest = 2**64 - sweep.repeats
    for location, seed in _everywhere(sweep, "seed"):
        if isinstance(seed, int) and seed > largest:
            yield location, f"should be at most {largest}, for {sweep.repeats} repeats below 2^64, not {seed}"


def _wandb(sweep: MatrixFile) -> Iterator[Fault]:
    """Check that names and tags are valid for W&B, which would reject others only after the first run."""
    project = sweep.wandb.project
    if not 0 < len(project) <= 128 or set(project) & set("/\\#?%:"):
        yield ("wandb", "project"), f"should be 1 to 128 characters and none of / \\ # ? % :, not {project!r}"
    for key in ("group", "name"):
        text = getattr(sweep.wandb, key)
        if text is not None and not 0 < len(text) <= 128:
            yield ("wandb", key), f"should be 1 to 128 characters, not {len(text)}"
    for key in ("per_group", "live"):
        if getattr(sweep.wandb, key) and sweep.wandb.mode == "disabled":
            yield ("wandb", key), "needs `mode: online` (or offline): nothing is sent with `mode: disabled`"
    for place, tag in enumerate(sweep.wandb.tags):
        if not 0 < len(tag) <= 64:
            yield ("wandb", "tags", place), f"should be 1 to 64 characters, not {tag!r}"
