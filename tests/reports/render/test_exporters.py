"""A format is a module with `export` and a line of the registry."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.contract.results.outcomes import Outcome
from reports.cells.comparability import Comparability
from reports.data.frame import load
from reports.render import csv
from reports.render.base import Export, Picture, Report
from reports.render.exporters import EXPORTERS, exporters
from reports.render.formats import DEFAULT, Format
from reports.render.write import write_report
from reports.tables.long_form import long_form
from reports.tables.tables import tables
from tests.support.documents import SweepDocuments


class JsonFormat:
    """A format that the package does not have, with a picture and a problem of its own."""

    def export(self, report: Report) -> Export:
        figures = {table.grid.slug: table.caption for table in report.tables}
        slug = report.tables[0].grid.slug
        picture = Picture(slug, "a drawing", "drawings/one.svg")
        return Export(
            {"deep/in/tables.json": json.dumps(figures), picture.file: b"<svg/>"}, [picture], ["one figure is missing"]
        )


def test_another_format_is_written_beside_the_others_and_later_ones_see_its_pictures_and_problems(
    sweep: SweepDocuments, tmp_path: Path
) -> None:
    sweep.run("fsdp", 1, speeds=[1000.0])
    plain = write_report(sweep.write(), tmp_path / "plain")
    out = tmp_path / "report"
    written = write_report(sweep.path, out, (JsonFormat(), *EXPORTERS))
    names = {str(path.relative_to(out)) for path in written.files}
    own = {"deep/in/tables.json", "drawings/one.svg"}
    assert names == own | {str(path.relative_to(tmp_path / "plain")) for path in plain.files}
    assert "125,248 parameters" in json.loads((out / "deep/in/tables.json").read_text())["llama-tiny.batch-size-4"]
    text = written.report.read_text()
    assert "![a drawing](drawings/one.svg)" in text
    assert "- one figure is missing" in text
    assert written.problems == ["one figure is missing", *plain.problems]


@pytest.mark.parametrize("name", Format)
def test_every_format_is_registered_and_described(name: Format) -> None:
    (exporter,) = exporters([name])
    assert callable(exporter.export)
    guide = (Path(__file__).parents[3] / "docs" / "guides" / "reports.md").read_text()
    assert f"\n| `{name}` | `" in guide


def test_formats_are_written_in_their_order_whatever_was_asked_first() -> None:
    assert exporters([Format.MARKDOWN, Format.PLOTS]) == exporters([Format.PLOTS, Format.MARKDOWN])
    assert exporters(DEFAULT) == EXPORTERS


def test_csv_is_what_pandas_writes(sweep: SweepDocuments, tmp_path: Path) -> None:
    sweep.run("fsdp", 1, speeds=[1000.0, 1e300])
    sweep.end(sweep.run("hsdp", 2)[0], Outcome.CRASHED, 'a "reason", of\ntwo lines')
    found = load(sweep.write())
    made = tables(Comparability(found))
    files = csv.export(Report(sweep.path, found, made, "")).files
    assert "".join(files["runs.csv"]) == found.frame.to_csv(index=False)
    assert "".join(files["tables.csv"]) == long_form(made).to_csv(index=False)
