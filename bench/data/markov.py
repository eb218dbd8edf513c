"""A seeded Markov source of tokens with known entropy rate, so that a loss can be compared with its lower bound.

Imports neither torch nor datasets.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class MarkovSource:
    """A first-order Markov chain over `vocab_size` tokens, each with `branching` possible successors.

    Attributes:
        successors: tokens that may follow, shape (vocab_size, branching).
        probabilities: probability of each successor, same shape; rows sum to 1.
        stationary: stationary distribution, shape (vocab_size,).

    """

    successors: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float64]
    stationary: npt.NDArray[np.float64]

    @classmethod
    def from_seed(cls, vocab_size: int, branching: int, seed: int) -> MarkovSource:
        """Draw a source. Successors follow Zipf's law, so that a model first learns frequencies, then contexts.

        Raises:
            ValueError: `branching` is not between 2 and `vocab_size`.

        """
        if not 2 <= branching <= vocab_size:
            raise ValueError(f"branching must be between 2 and the vocabulary size {vocab_size}, not {branching}")
        generator = np.random.default_rng(seed)
        popularity = 1.0 / np.arange(1, vocab_size + 1)
        popularity /= popularity.sum()
        names = generator.permutation(vocab_size)  # popularity must not depend on the token's id
        successors = names[generator.choice(vocab_size, size=(vocab_size, branching), p=popularity)]
        # One successor is the next token (cyclically): the chain is irreducible, so its stationary law is unique.
        successors[:, 0] = (np.arange(vocab_size) + 1) % vocab_size
        probabilities = generator.dirichlet(np.full(branching, 0.5), size=vocab_size)
        probabilities = 0.98 * probabilities + 0.02 / branching
        return cls(successors, probabilities, _stationary(successors, probabilities))

    @property
    def entropy_rate(self) -> float:
        """Lower bound of any model's loss, nats per token: the stationary mean of the rows' entropies."""
        vocab_size, branching = self.successors.shape
        # A token that was drawn twice as a successor is one event: its probabilities add up.
        order = np.argsort(self.successors, axis=1)
        sorted_tokens = np.take_along_axis(self.successors, order, axis=1)
        sorted_probabilities = np.take_along_axis(self.probabilities, order, axis=1)
        fresh = np.ones((vocab_size, branching), dtype=bool)
        fresh[:, 1:] = sorted_tokens[:, 1:] != sorted_tokens[:, :-1]
        merged = np.add.reduceat(sorted_probabilities.ravel(), np.flatnonzero(fresh.ravel()))
        weights = np.repeat(self.stationary, fresh.sum(axis=1))
        return float(-(weights * merged * np.log(merged)).sum())

    def sample(self, sequences: int, length: int, seed: int) -> npt.NDArray[np.int32]:
        """Draw independent sequences that start in the stationary distribution; shape (sequences, length)."""
        generator = np.random.default_rng(seed)
        cumulative = np.cumsum(self.probabilities, axis=1)
        tokens = np.empty((sequences, length), dtype=np.int32)
        state = generator.choice(len(self.stationary), size=sequences, p=self.stationary)
        for position in range(length):
            tokens[:, position] = state
            draw = generator.random(sequences)[:, None]
            choice = np.minimum((cumulative[state] < draw).sum(axis=1), cumulative.shape[1] - 1)
            state = self.successors[state, choice]
        return tokens


def _stationary(successors: npt.NDArray[np.int64], probabilities: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the stationary distribution, by power iteration on the lazy chain, which is aperiodic and has the same."""
    law = np.full(len(successors), 1.0 / len(successors))
    for _ in range(100_000):
        flow = np.bincount(successors.ravel(), (law[:, None] * probabilities).ravel(), minlength=len(law))
        following = 0.5 * (law + flow)
        if np.abs(following - law).sum() < 1e-13:
            break
        law = following
    else:
        raise RuntimeError("the stationary law of the Markov source did not converge")
    law /= law.sum()
    return law
