"""Data: the source's entropy is right, and the order of samples knows no strategy."""

from __future__ import annotations

import tempfile
from pathlib import Path

import datasets
import numpy as np
import pytest
import torch

from bench.contract.run import Run
from bench.data.dataset import IGNORED_LABEL, Collate, Order, load, validation_batches
from bench.data.markov import MarkovSource
from bench.data.synthetic import SyntheticData, make_synthetic
from bench.engines.loss import validate
from bench.measure.window import Steps, mean_loss
from tests.support.ranks import Ranks
from tests.support.runs import CPU, NoProgress, make_run, prepare, train_rank


def test_entropy_rate_is_the_mean_surprise_of_what_is_drawn() -> None:
    source = MarkovSource.from_seed(vocab_size=64, branching=6, seed=3)
    transition = np.zeros((64, 64))
    np.add.at(transition, (np.arange(64)[:, None], source.successors), source.probabilities)
    tokens = source.sample(4000, 65, seed=4)
    surprise = -np.log(transition[tokens[:, :-1], tokens[:, 1:]])
    error = surprise.mean(axis=1).std() / np.sqrt(4000)
    assert surprise.mean() == pytest.approx(source.entropy_rate, abs=4 * error)
    np.testing.assert_allclose(source.stationary @ transition, source.stationary, atol=1e-9)


def test_source_is_a_function_of_its_seed() -> None:
    draw = [MarkovSource.from_seed(64, 6, seed).sample(10, 9, seed=1) for seed in (3, 3, 4)]
    assert np.array_equal(draw[0], draw[1])
    assert not np.array_equal(draw[0], draw[2])


@pytest.mark.parametrize("readers", [1, 2, 8])
def test_order_does_not_depend_on_how_many_read(readers: int) -> None:
    alone = [sorted(batch) for batch in Order(100, 7, 20, 8, 1, 0)]
    together = [
        sorted(index for place in range(readers) for index in batches[place])
        for batches in zip(*(Order(100, 7, 20, 8 // readers, readers, p) for p in range(readers)), strict=True)
    ]
    assert together == alone


def test_accumulated_micro_batches_are_the_parts_of_the_larger_batch() -> None:
    for place in range(2):
        whole = list(Order(100, 7, 20, 6, 2, place))
        parts = list(Order(100, 7, 20, 2, 2, place, accumulation=3))
        assert [parts[turn] + parts[turn + 1] + parts[turn + 2] for turn in range(0, 60, 3)] == whole


def test_a_later_part_of_a_training_reads_on() -> None:
    assert list(Order(100, 7, 12, 4, 2, 1, first_step=8)) == list(Order(100, 7, 20, 4, 2, 1))[8:]


def test_order_is_made_as_it_is_read() -> None:
    assert len(next(iter(Order(100, 7, 10**12, 4, 2, 1)))) == 4


def test_every_pass_sees_every_sample_once() -> None:
    seen = [index for place in range(2) for batch in Order(24, 7, 3, 4, 2, place) for index in batch]
    assert sorted(seen) == list(range(24))
    first, second = (list(Order(24, 7, 6, 8, 1, 0))[part] for part in (slice(0, 3), slice(3, 6)))
    assert first != second, "the second pass has an order of its own"
    assert [Order(24, 7, steps, 4, 2, 0).distinct for steps in (2, 3, 9)] == [16, 24, 24]


@pytest.mark.parametrize("first_step", range(7))
@pytest.mark.parametrize("steps", [1, 2, 3, 5])
def test_distinct_samples_are_those_that_are_read(first_step: int, steps: int) -> None:
    orders = [Order(10, 7, steps, 3, 2, place, first_step=first_step) for place in range(2)]
    read = {sample for order in orders for batch in order for sample in batch}
    assert [order.distinct for order in orders] == [len(read)] * 2


def test_a_subsample_is_all_that_is_read(data: Path) -> None:
    loaded = load(make_run(data, (1, 1, 1), subsample=10, batch_size=4, steps=8, warmup_steps=0), 0)
    read = {tuple(tokens) for batch in loaded.train for tokens in batch.tokens.tolist()}
    assert (len(read), loaded.order.distinct) == (10, 10)


def groups_read(rank: int, run: Run) -> list[list[int]]:
    return [batch.tokens[:, 0].tolist() + batch.tokens.sum(1).tolist() for batch in load(run, rank).train]


def test_groups_partition_or_share_the_data(data: Path) -> None:
    apart, shared = (make_run(data, (2, 1, 2), federated_data=kind) for kind in ("partition", "share"))
    assert groups_read(0, shared) == groups_read(2, shared)
    assert groups_read(0, apart) != groups_read(2, apart)
    assert (apart.readers, shared.readers) == (4, 2)


def test_labels_follow_tokens() -> None:
    batch = Collate(4, 10)([{"input_ids": [5, 6, 7, 8, 9]}])
    assert (batch.tokens.tolist(), batch.labels.tolist()) == ([[5, 6, 7, 8]], [[6, 7, 8, 9]])
    exact = Collate(5, 10)([{"input_ids": [5, 6, 7, 8, 9]}])
    assert exact.labels.tolist() == [[6, 7, 8, 9, IGNORED_LABEL]]
    with pytest.raises(ValueError, match=r"have 5 tokens, but training\.sequence_length is 9"):
        Collate(9, 10)([{"input_ids": [5, 6, 7, 8, 9]}])
    with pytest.raises(ValueError, match="has the token 10, and the model's vocab_size is 10"):
        Collate(4, 10)([{"input_ids": [5, 6, 7, 8, 10]}])
    with pytest.raises(ValueError, match="has the token -100"):
        Collate(4, 10)([{"input_ids": [5, 6, -100, 8, 9]}])
    with pytest.raises(ValueError, match="have different lengths"):
        Collate(5, 10)([{"input_ids": [5, 6, 7, 8, 9]}, {"input_ids": [5, 6, 7, 8, 9, 1]}])


def test_the_format_of_a_saved_data_set_changes_no_sample(data: Path, tmp_path: Path) -> None:
    """As tensors, and with some columns only."""
    saved = datasets.load_from_disk(str(data))
    wanted = next(iter(load(make_run(data, (1, 1, 1)), 0).train)).tokens
    tensors, columns = tmp_path / "tensors", tmp_path / "columns"
    saved.with_format("torch").save_to_disk(str(tensors))
    more = saved.map(lambda row: {"other": row["input_ids"][:1]})
    more.with_format("numpy", columns=["other"]).save_to_disk(str(columns))
    for folder in (tensors, columns):
        assert next(iter(load(make_run(folder, (1, 1, 1)), 0).train)).tokens.tolist() == wanted.tolist()


def test_workers_have_room_for_their_sockets(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """In a folder for temporary files whose path is longer than a socket's may be; they would wait for ever."""
    long = tmp_path / ("a-job-s-own-folder-" * 5)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    monkeypatch.setenv("TMPDIR", str(long))
    loaded = load(make_run(data, (1, 1, 1), workers=1), 0)
    assert len(next(iter(loaded.train)).tokens)
    assert "TMPDIR is too long" in caplog.text


def test_data_set_is_kept_and_another_one_refused(tmp_path: Path) -> None:
    asked = SyntheticData(vocab_size=32, sequence_length=8, train_samples=4, val_samples=2)
    made, rate = make_synthetic(tmp_path / "data", asked)
    assert (made, rate) == (True, make_synthetic(tmp_path / "data", asked)[1])
    assert make_synthetic(tmp_path / "data", asked)[0] is False
    with pytest.raises(FileExistsError, match="already exists with other content"):
        make_synthetic(tmp_path / "data", SyntheticData(33, 8, 4, 2))


@pytest.mark.parametrize(("samples", "batch", "world"), [(32, 4, 4), (10, 4, 4), (1, 2, 3), (9, 2, 4)])
def test_validation_samples_are_dealt_whole_and_in_step(samples: int, batch: int, world: int) -> None:
    dealt = [validation_batches(samples, batch, world, rank) for rank in range(world)]
    assert len({len(batches) for batches in dealt}) == 1
    assert sorted(i for batches in dealt for each in batches for i in each) == list(range(samples))


def validation_loss(rank: int, run: Run) -> float:
    _, model = prepare(run, rank)
    return validate(run, model, load(run, rank), CPU, rank, NoProgress())


def test_validation_is_the_same_for_every_layout_and_batch(ranks: Ranks, data: Path) -> None:
    alone = ranks(1, validation_loss, make_run(data, (1, 1, 1), val_samples=10))[0]
    for layout, size in [((1, 1, 4), 1), ((1, 2, 2), 3), ((2, 1, 2), 8)]:
        run = make_run(data, layout, val_samples=10, val_batch_size=size)
        assert ranks(4, validation_loss, run) == [pytest.approx(alone, rel=1e-6)] * 4


def trained_on(rank: int, run: Run) -> object:
    return train_rank(run, rank)[0]


def test_loss_falls_towards_the_entropy_rate_and_not_below(ranks: Ranks, tmp_path: Path) -> None:
    _, floor = make_synthetic(
        tmp_path / "easy",
        SyntheticData(vocab_size=256, sequence_length=32, train_samples=40_000, val_samples=64, branching=2),
    )
    run = make_run(tmp_path / "easy", (2, 1, 1), batch_size=32, steps=240, learning_rate=1e-2, lr_warmup_fraction=0.1)
    steps = Steps.of(ranks(2, trained_on, run))
    curve = [mean_loss(steps.losses[:, step], steps.tokens[:, step]) for step in range(240)]
    noise = 3 * float(np.std(curve[-40:]))
    assert curve[0] == pytest.approx(np.log(256), rel=0.05), "an untrained model knows nothing"
    last = float(np.mean(curve[-20:]))
    assert last < floor + 0.25 * (curve[0] - floor), "most of what can be learned was learned"
    assert last > floor - noise
    assert min(curve) > floor - 6 * noise


def test_bf16_weights_are_bf16(ranks: Ranks, data: Path) -> None:
    assert ranks(2, parameter_types, make_run(data, (1, 1, 2), precision="bf16")) == [{torch.bfloat16}] * 2


def parameter_types(rank: int, run: Run) -> set[torch.dtype]:
    trained, model = train_rank(run, rank)
    assert trained.losses[-1] < trained.losses[0]
    return {parameter.dtype for parameter in model.parameters()}
