"""What a table's comparisons of rows on the same nodes show, all of them considered together."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from bench.contract.results.outcomes import Caution
from reports.data.words import counted
from reports.stats.comparison import Comparison, Rule
from reports.stats.verdicts import ALPHA, POWER, Verdict, smallest_ratio, verdicts
from reports.tables.notices import Notice

PLAIN = "Intervals in the cells are plain: 95 % each, not adjusted for their number."
"""Stands under every table with an interval."""

NO_FINDING: dict[str, str] = {
    Caution.OVERSUBSCRIBED: "a demonstration. More ranks than cores ran",
    Caution.SELECTED: "no comparison yet. The same repeats chose the configurations and are measured",
}
"""Cautions that forbid a finding on speed, and what to say of such a table."""

Named = tuple[str, Comparison]
"""A cell for people, `hsdp on 2 nodes`, and its ratio to the reference's row on the same nodes."""

_SHOWN = {
    Verdict.HIGHER: "faster",
    Verdict.LOWER: "slower",
    Verdict.NO_DIFFERENCE: "no difference seen",
    Verdict.CANNOT_TELL: "cannot tell",
}


def findings(compared: Sequence[Named], reference: str, notices: Sequence[Notice]) -> list[str]:
    """Return sentences: verdicts adjusted for the number of comparisons, and the smallest ratio that could be seen.

    A table whose times measure starvation (oversubscribed) or luck (selected) gets none.

    Args:
        compared: cells that are not the reference's own, each once.
        reference: label of the reference's row.
        notices: cautions of the table.

    """
    others = [(name, made) for name, made in compared if made.rule is not Rule.ITSELF]
    if not others:
        return []
    for notice in notices:
        if notice.caution in NO_FINDING:
            return [f"No verdict on speed: {notice.caution}, so these times are no finding about what is compared."]
    found = verdicts([(math.log(made.estimate.value), made.p_value) for _, made in others])
    tested = sum(made.p_value is not None for _, made in others)
    sentences = [
        f"Tokens/s over {reference}'s on the same nodes, adjusted for {counted(tested, 'comparison')} "
        f"(Holm, {ALPHA:.0%}): {by_verdict([name for name, _ in others], found, _SHOWN)}."
    ]
    return sentences + _could_have_seen([made for _, made in others])


def by_verdict(names: Sequence[str], found: Sequence[Verdict], titles: Mapping[Verdict, str]) -> str:
    """Return `faster: a, b; slower: c`, in the order of the titles; a verdict without a title is left out."""
    named = {
        title: [name for name, each in zip(names, found, strict=True) if each is verdict]
        for verdict, title in titles.items()
    }
    return "; ".join(f"{title}: {', '.join(of_title)}" for title, of_title in named.items() if of_title)


def _could_have_seen(compared: Sequence[Comparison]) -> list[str]:
    """Return what the table's pooled spread and its fewest pairs could have shown, if there are intervals of pairs."""
    spread = [(made.deviation, made.size) for made in compared if made.deviation is not None]
    if not spread:
        return []
    freedom = sum(count - 1 for _, count in spread)
    pooled = math.sqrt(sum(deviation**2 * (count - 1) for deviation, count in spread) / freedom)
    fewest = min(count for _, count in spread)
    ratio = smallest_ratio(pooled, fewest)
    return [
        f"With this spread, {fewest} pairs show a single ratio of {ratio:.3f} or more with a power of {POWER:g}; "
        "smaller differences need more repeats."
    ]
