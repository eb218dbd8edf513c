"""Write a sweep's report: report.md, the frame, the tables and the plots."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench.contract.files import write_whole
from reports.data.frame import LoadedSweep, ReportError, load
from reports.render import markdown, plots
from reports.render.style import looks
from reports.tables.figures import tally
from reports.tables.job_cost import cost
from reports.tables.tables import Table, long_form, tables

HOW_TO_READ = """\
A figure is the mean over the repeats that completed, or for a ratio exp of the mean log-ratio of repeats in pairs. \
`a ± b` and `a [low, high]` are 95 % t-intervals (3 repeats or more; each stands alone, not adjusted for the number of \
cells), `a (low .. high)` is the range of 2 repeats, and a bare number has no spread. Repeats differ in the seed of \
weights and data, so the spread of a loss is its noise. `(= fsdp)` marks a cell that \
resolves to the same run as another strategy: the figure is that run's. A cell without a figure shows what became of \
its runs.
"""

MOST_PLOTTED = 12
"""Tables beyond these get no plots: drawing takes a second a table, and nobody looks at hundreds."""


@dataclass(frozen=True)
class WrittenReport:
    """What was written, and what to print."""

    report: Path
    """The report itself, report.md."""
    files: list[Path]
    """All files written, the report first."""
    tables: list[Table]
    summary: str
    """How many runs ended how."""
    cautions: list[str]
    """Each caution of any table once, with what to do about it."""
    problems: list[str]
    """One sentence for each damaged file, and for what was left out."""


def write_report(sweep: Path, out: Path) -> WrittenReport:
    """Report the sweep in folder `sweep` into folder `out`.

    Raises:
        ReportError: the sweep cannot be read, or the report cannot be written.

    """
    read = load(sweep)
    made = tables(read)
    try:
        return _write(read, made, sweep, out)
    except OSError as error:
        raise ReportError(f"the report cannot be written to {out}: {error.strerror or error}") from error


def _write(read: LoadedSweep, made: list[Table], sweep: Path, out: Path) -> WrittenReport:
    problems = list(read.problems)
    plotted = _plots(made[:MOST_PLOTTED], sweep, problems)
    if len(made) > MOST_PLOTTED:
        problems.append(f"only the first {MOST_PLOTTED} of {len(made)} tables are plotted; tables.csv has all figures")
    summary = f"Sweep {read.plan.sweep}, {len(read.frame)} runs: {tally(list(read.frame['outcome']))}"
    if read.jobs:
        summary += f". {cost(read)}"
    contents: dict[str, str | bytes] = {
        "report.md": _markdown(read, made, plotted, summary, problems),
        "tables.csv": long_form(made).to_csv(index=False),
        "runs.csv": read.frame.to_csv(index=False),
        "runs.parquet": read.frame.to_parquet(None, index=False),
    }
    contents |= {name: content for files in plotted.values() for _, name, content in files}
    (out / "plots").mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        write_whole(out / name, content)
    cautions = {notice.caution: None for table in made for notice in table.notices}
    return WrittenReport(
        report=out / "report.md",
        files=[out / name for name in contents],
        tables=made,
        summary=summary,
        cautions=[f"{caution}: {caution.meaning}; {caution.remedy}." for caution in cautions],
        problems=problems,
    )


def _plots(made: list[Table], sweep: Path, problems: list[str]) -> dict[str, list[tuple[str, str, bytes]]]:
    """(what it shows, file name, content) of each plot, by the table's slug."""
    strategies = looks([row.strategy for table in made for row in table.grid.rows])
    plotted: dict[str, list[tuple[str, str, bytes]]] = {}
    for table in made:
        loss, unread = plots.loss_plot(table, sweep, strategies)
        problems += unread
        figures = {"scaling": plots.scaling_plot(table, strategies), "loss": loss}
        plotted[table.grid.slug] = [
            (
                f"{subject} of {table.grid.title}",
                f"plots/{table.grid.slug}.{subject}.{kind}",
                plots.rendered(figure, kind),
            )
            for subject, figure in figures.items()
            if figure is not None
            for kind in ("svg", "png")
        ]
    return plotted


def _markdown(
    read: LoadedSweep,
    made: list[Table],
    plotted: dict[str, list[tuple[str, str, bytes]]],
    summary: str,
    problems: list[str],
) -> str:
    parts = [f"# {read.plan.sweep}\n\n{summary}.\n", HOW_TO_READ]
    if problems:
        parts.append("## Left out\n\n" + "\n".join(f"- {problem}" for problem in problems) + "\n")
    for table in made:
        links = [(shows, name) for shows, name, _ in plotted.get(table.grid.slug, []) if name.endswith(".svg")]
        parts.append(markdown.section(table, links))
    return "\n".join(parts)
