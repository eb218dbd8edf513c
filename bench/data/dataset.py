"""Tokenised, packed data in the format of `save_to_disk`, read in an order that is independent of the strategy."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import datasets
import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import DataLoader

from bench.contract.run import Run

logger = logging.getLogger(__name__)

datasets.disable_progress_bars()  # ranks print into logs

IGNORED_LABEL = -100


@dataclass(frozen=True)
class Order:
    """The samples of a rank, micro-batch by micro-batch: a function of (seed, step, place), whatever the strategy.

    The global index of a sample is step x global batch + place x the rank's sequences per step + the position among
    those, so that accumulated micro-batches are parts of the larger batch. Index i is the (i mod samples)-th element of
    a permutation that is drawn anew for every pass over the data.

    Attributes:
        samples: number of samples in the data set.
        steps: optimizer steps.
        first_step: steps that an earlier part of the same training took.
        readers: number of ranks that read different samples; place: index of this rank among them.

    """

    samples: int
    seed: int
    steps: int
    micro_batch: int
    readers: int
    place: int
    accumulation: int = 1
    first_step: int = 0

    def __iter__(self) -> Iterator[list[int]]:
        """Yield the sample numbers of each micro-batch, lazily: a long training must not wait for all of them."""
        numbers = SampleNumbers(self)
        for turn in range(self.turns):
            yield [numbers[turn * self.micro_batch + place] for place in range(self.micro_batch)]

    @property
    def turns(self) -> int:
        """Number of micro-batches of a rank."""
        return self.steps * self.accumulation

    def index(self, number: int) -> int:
        """Return the global index of the rank's `number`-th sample."""
        turn, place = divmod(number, self.micro_batch)
        step, micro = divmod(turn, self.accumulation)
        batch = ((self.first_step + step) * self.readers + self.place) * self.accumulation + micro
        return batch * self.micro_batch + place

    @property
    def distinct(self) -> int:
        """Number of different samples read by all readers together."""
        step = self.readers * self.accumulation * self.micro_batch
        begin, end = self.first_step * step, (self.first_step + self.steps) * step
        first, last = begin // self.samples, (end - 1) // self.samples
        if first == last:
            return end - begin
        if last > first + 1 or begin % self.samples == 0:  # contains a full pass
            return self.samples
        rest, new = self.permutation(first)[begin % self.samples :], self.permutation(last)[: end % self.samples]
        return self.samples if end % self.samples == 0 else len(np.union1d(rest, new))

    def permutation(self, pass_number: int) -> npt.NDArray[np.int64]:
        """Return the data set's sample numbers in the order of a pass."""
        return np.random.default_rng((self.seed, pass_number)).permutation(self.samples)


class SampleNumbers:
    """Sequence of the sample numbers that a rank reads; caches the permutation of one pass."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._pass = 0
        self._permutation = order.permutation(0)

    def __len__(self) -> int:
        return self._order.turns * self._order.micro_batch

    def __getitem__(self, number: int) -> int:
        index = self._order.index(number)
        if index // self._order.samples != self._pass:
            self._pass = index // self._order.samples
            self._permutation = self._order.permutation(self._pass)
        return int(self._permutation[index % self._order.samples])


@dataclass(frozen=True)
class Batch:
    """Tokens and labels, both int64 of shape (sequences, sequence_length)."""

    tokens: torch.Tensor
    labels: torch.Tensor

    def to(self, device: torch.device) -> Batch:
        """Copy to a device, asynchronously if the memory is pinned."""
        return Batch(self.tokens.to(device, non_blocking=True), self.labels.to(device, non_blocking=True))

    def pin_memory(self) -> Batch:
        """Return a copy in pinned memory; called by the DataLoader if `pin_memory` is set."""
        return Batch(self.tokens.pin_memory(), self.labels.pin_memory())


@dataclass(frozen=True)
class Collate:
    """Convert rows of the data set to a Batch. A sample without an extra token has no label for its last position."""

    sequence_length: int
    vocabulary: int

    def __call__(self, rows: Sequence[dict[str, list[int]]]) -> Batch:
        """Raise ValueError if samples are too short or of different lengths, or a token is not in the vocabulary."""
        cut = [row["input_ids"][: self.sequence_length + 1] for row in rows]
        if len({len(row) for row in cut}) > 1:
            raise ValueError("the data set's samples have different lengths: pack them (`xffl-bench data prepare`)")
        ids = torch.tensor(cut, dtype=torch.int64)
        if ids.shape[1] < self.sequence_length:
            raise ValueError(
                f"the data set's samples have {ids.shape[1]} tokens, but training.sequence_length is "
                f"{self.sequence_length}: prepare the data for this length"
            )
        # On a GPU a token that does not exist is an assertion of the device, after which nothing can be reported.
        lowest, highest = (int(token) for token in torch.aminmax(ids))
        if lowest < 0 or highest >= self.vocabulary:
            token = lowest if lowest < 0 else highest
            raise ValueError(f"the data set has the token {token}, and the model's vocab_size is {self.vocabulary}")
        if ids.shape[1] > self.sequence_length:
            return Batch(ids[:, :-1].contiguous(), ids[:, 1:].contiguous())
        labels = torch.full_like(ids, IGNORED_LABEL)
        labels[:, :-1] = ids[:, 1:]
        return Batch(ids, labels)


@dataclass(frozen=True)
class RunData:
    """Data loaders and sample order of one rank."""

    train: DataLoader[Batch]
    validation: DataLoader[Batch]
    order: Order


def validation_batches(samples: int, batch_size: int, world: int, rank: int) -> list[list[int]]:
    """Return the rank's part of the first `samples` samples.

    Every rank gets the same number of batches, since sharded ranks must call the model equally often; a rank without
    samples left gets empty ones.
    """
    own = list(range(rank, samples, world))
    rounds = -(-samples // (world * batch_size))
    return [own[i * batch_size : (i + 1) * batch_size] for i in range(rounds)]


def rank_order(run: Run, rank: int, samples: int, first_step: int = 0) -> Order:
    """Return a rank's order over a training split of `samples` samples, after `first_step` optimizer steps."""
    return Order(
        samples=samples,
        seed=run.seed,
        steps=run.training.steps,
        micro_batch=run.batch_size,
        accumulation=run.training.accumulation,
        first_step=first_step,
        readers=run.readers,
        place=rank % run.readers,  # with shared data the place in the group, since its ranks are consecutive
    )


def _splits(run: Run) -> datasets.DatasetDict:
    dataset = datasets.load_from_disk(run.data)
    for split in ("train", "val"):
        if split not in dataset:
            raise ValueError(f"the data set {run.data} has no split '{split}'")
    return dataset.with_format(None)  # it may have been saved with another: tensors, or some columns only


def training_split(run: Run) -> datasets.Dataset:
    """Return the samples that a run trains on.

    Raises:
        ValueError: the data set lacks a split.
        FileNotFoundError: there is no data set at `run.data`.

    """
    return _trained_on(run, _splits(run)["train"])


def _trained_on(run: Run, split: datasets.Dataset) -> datasets.Dataset:
    if run.training.subsample is None:
        return split
    return split.select(range(min(run.training.subsample, len(split))))


LONGEST_TEMPORARY = 70
"""Characters of a folder below which a worker's socket fits: the path of a socket has at most 107 (unix(7)), of which
Python's and torch's names take up to 36.
"""


def use_short_folder() -> None:
    """Put the sockets of data loading processes into /tmp if TMPDIR is too long for them; they would hang otherwise."""
    if len(tempfile.gettempdir()) > LONGEST_TEMPORARY:
        logger.warning("TMPDIR is too long for the workers' sockets, which are in /tmp instead: %s", tempfile.tempdir)
        tempfile.tempdir = os.environ["TMPDIR"] = "/tmp"


def load(run: Run, rank: int, first_step: int = 0) -> RunData:
    """Open the data set of a run for one rank, after `first_step` optimizer steps of the same training.

    Raises:
        ValueError: the data set lacks a split, or a split is too small.
        FileNotFoundError: there is no data set at `run.data`.

    """
    dataset = _splits(run)
    train, validation = _trained_on(run, dataset["train"]), dataset["val"]
    if len(validation) < run.training.val_samples:
        raise ValueError(
            f"the data set {run.data} has {len(validation)} validation samples, "
            f"but training.val_samples is {run.training.val_samples}"
        )
    order = rank_order(run, rank, len(train), first_step)
    val_batches = validation_batches(
        run.training.val_samples, run.training.val_batch_size or run.batch_size, run.world, rank
    )
    collate = Collate(run.training.sequence_length, run.shape.vocab_size)
    pinned = run.system.device == "cuda"
    if run.training.workers:
        use_short_folder()

    def loader(split: datasets.Dataset, batches: Iterable[list[int]], workers: int) -> DataLoader[Batch]:
        return DataLoader(split, batch_sampler=batches, collate_fn=collate, num_workers=workers, pin_memory=pinned)

    return RunData(
        train=loader(train, order, run.training.workers),
        # An empty batch cannot be collated: load one sample, which the caller ignores.
        validation=loader(validation, [batch or [0] for batch in val_batches], 0),
        order=order,
    )
