"""Draw the pictures of docs/concepts/strategies.md: `python docs/images/strategies.py`."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path

FOLDER = Path(__file__).parent
COLOURS = ("#4477aa", "#ee6677", "#228833", "#ccbb44")
"""Of the quarters of a model (Paul Tol's bright scheme, which colour-blind readers can tell apart)."""
INK, PALE = "#444444", "#f4f4f4"
SIZE, GAP, HIGH = 64, 26, 22
"""Pixels: width of a rank, space between ranks, height of a quarter of the model."""
TOP = 66


@dataclass(frozen=True)
class Picture:
    """Four ranks on two nodes, what each holds, and what they exchange.

    Attributes:
        held: for each rank, the quarters of the model that it keeps.
        rows: exchanges, a row of those drawn side by side: first and last rank, and what they exchange.
        rare: the first row of what happens every H steps; rows before it are of every step.
        note: last line.

    """

    name: str
    title: str
    held: tuple[tuple[int, ...], ...]
    rows: tuple[tuple[tuple[int, int, str], ...], ...]
    rare: int
    note: str

    def svg(self) -> str:
        """Return the picture."""
        parts = [_text(16, 24, self.title, size=15, weight="bold")]
        for node in range(2):
            left = _left(2 * node) - 12
            parts.append(
                f'<rect x="{left}" y="{TOP - 26}" width="{2 * SIZE + GAP + 24}" height="{4 * HIGH + 54}" rx="8" '
                f'fill="{PALE}" stroke="#bbbbbb"/>'
            )
            parts.append(_text(left + 8, TOP - 10, f"node {node}", size=11))
        for rank, quarters in enumerate(self.held):
            for quarter in range(4):
                is_held = quarter in quarters
                parts.append(
                    f'<rect x="{_left(rank)}" y="{TOP + quarter * HIGH}" width="{SIZE}" height="{HIGH}" '
                    f'fill="{COLOURS[quarter] if is_held else "white"}" stroke="{INK}" '
                    f'stroke-dasharray="{"none" if is_held else "2 3"}"/>'
                )
            parts.append(_text(_left(rank) + SIZE / 2, TOP + 4 * HIGH + 16, f"rank {rank}", size=11, anchor="middle"))
        level = TOP + 4 * HIGH + 48
        for number, row in enumerate(self.rows):
            for first, last, words in row:
                parts += _link(first, last, level, words, "6 4" if number >= self.rare else "none")
            level += 38
        parts.append(_text(16, level + 4, self.note, size=12))
        body = "\n".join(parts)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_left(4) + 16} {level + 18}" '
            f'width="{_left(4) + 16}" font-family="sans-serif">\n<title>{escape(self.title)}</title>\n'
            f'<rect width="100%" height="100%" fill="white"/>\n{body}\n</svg>\n'
        )


def _left(rank: int) -> int:
    return 32 + rank * (SIZE + GAP) + (rank // 2) * 34


def _text(x: float, y: float, words: str, *, size: int, weight: str = "normal", anchor: str = "start") -> str:
    return (
        f'<text x="{x}" y="{y}" font-size="{size}" font-weight="{weight}" text-anchor="{anchor}" fill="{INK}">'
        f"{escape(words)}</text>"
    )


def _link(first: int, last: int, level: int, words: str, dashes: str) -> list[str]:
    begin, end = _left(first) + SIZE / 2, _left(last) + SIZE / 2
    line = f'stroke="{INK}" stroke-width="2" stroke-dasharray="{dashes}"'
    ticks = [f'<path d="M{_left(rank) + SIZE / 2} {level} v-14" {line}/>' for rank in range(first, last + 1)]
    middle = (begin + end) / 2
    return [
        *ticks,
        f'<path d="M{begin} {level} H{end}" {line}/>',
        _text(middle, level + 15, words, size=11, anchor="middle"),
    ]


WHOLE = ((0, 1, 2, 3),) * 4
QUARTERS = ((0,), (1,), (2,), (3,))
HALVES = ((0, 1), (2, 3), (0, 1), (2, 3))
INSIDE = ((0, 1, "as FSDP, inside"), (2, 3, "as FSDP, inside"))
PICTURES = (
    Picture(
        "ddp", "DDP: every rank holds the whole model", WHOLE,
        (((0, 3, "sum of all gradients, every step"),),), 1, "F = 1, R = 4, S = 1",
    ),
    Picture(
        "fsdp", "FSDP: one copy of the model, sharded over all ranks", QUARTERS,
        (((0, 3, "parameters of a layer, then its gradients, every step"),),), 1, "F = 1, R = 1, S = 4",
    ),
    Picture(
        "hsdp", "HSDP: one sharded copy on every node", HALVES,
        (INSIDE, ((0, 3, "sum of each shard's gradients, every step"),)), 2, "F = 1, R = 2, S = 2",
    ),
    Picture(
        "federated", "Federated scaling: groups train alone, then average", HALVES,
        (INSIDE, ((0, 3, "mean of each shard's parameters, every H steps"),)), 1, "F = 2, R = 1, S = 2",
    ),
    Picture(
        "local-sgd", "Local SGD: every rank trains alone, then all average", WHOLE,
        (((0, 3, "mean of the parameters, every H steps"),),), 0, "F = 4, R = 1, S = 1",
    ),
    Picture(
        "diloco", "DiLoCo: a second optimizer applies the mean change", WHOLE,
        (((0, 3, "mean change of the parameters, every H steps"),),), 0,
        "then, the same on every worker: an outer step with Nesterov momentum",
    ),
)  # fmt: skip


def main() -> None:
    """Write every picture."""
    for picture in PICTURES:
        (FOLDER / f"strategy-{picture.name}.svg").write_text(picture.svg(), encoding="utf-8")


if __name__ == "__main__":
    main()
