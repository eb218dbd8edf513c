"""Judge a night: report, compare with the last good night and with golden values."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from bench.contract.results.outcomes import Outcome
from matrix.nightly.nightly_file import NightlyFile
from matrix.nightly.record import NightRecord, NightStatus, RecordedNight
from reports.data.faults import ReportError
from reports.nights.combinations import Night
from reports.nights.comparing import compare_nights
from reports.nights.document import CompareDocument
from reports.nights.golden import compare_with_golden
from reports.nights.summary import summary
from reports.render.write import write_report

AS_EXPECTED = frozenset({Outcome.COMPLETED, Outcome.OOM, Outcome.OOM_INFERRED, Outcome.INVALID})
"""Outcomes that say something of a combination: a model that does not fit is a result. Where a combination fitted the
night before, the comparison finds a regression."""


def judge(folder: Path, night: str, nightly: NightlyFile, good: RecordedNight | None, trouble: str = "") -> NightRecord:
    """Write the report of a night and compare it.

    Args:
        folder: the night's sweep.
        night: its date.
        nightly: what to compare with, and what is tolerated.
        good: the last good night before it.
        trouble: why its runs were not all made, empty if they were.

    """
    lines: list[str] = []
    compared: list[CompareDocument] = []
    status = NightStatus.GOOD
    try:
        written = write_report(folder, folder / "report")
        loaded = Night(folder, written.sweep)
        lines += [f"{written.summary}.", *(f"- {answer}" for answer in written.answers[:_ANSWERS])]
        if good is not None:
            compared.append(compare_nights(Night.of(good.folder), loaded, nightly.tolerances))
        if nightly.golden is not None:
            compared.append(compare_with_golden(Path(nightly.golden), loaded))
        for document in compared:
            lines += summary(document)
            if not document.compares:
                lines.append(
                    f"nothing can be compared with {document.old}: if that is meant, accept the night "
                    "(nightly --accept), or renew the golden values"
                )
        if not compared:
            lines.append("nothing to compare with yet: there is no good night before it")
        lines.append(f"the full report: {written.report}")
        status = _status(compared, loaded, nightly)
    except ReportError as error:
        lines.append(str(error))
        status = NightStatus.INCOMPLETE
    if trouble:
        lines.insert(0, trouble)
        status = NightStatus.INCOMPLETE if status is not NightStatus.REGRESSED else status
    return NightRecord(
        night=night,
        status=status,
        compared_with=str(good.folder) if good else None,
        summary=[f"{night}: {status.value}", *lines],
    )


_ANSWERS = 3
"""Findings of the report in the summary."""


def _status(compared: list[CompareDocument], night: Night, nightly: NightlyFile) -> NightStatus:
    """Return what a night is worth: a regression comes first, since it may explain why runs failed."""
    if any(document.has_failed() for document in compared):
        return NightStatus.REGRESSED
    outcomes = Counter(str(outcome) for outcome in night.sweep.frame["outcome"])
    of_breakdown = {str(outcome) for outcome in night.sweep.breakdown["outcome"]}
    if (outcomes.keys() | of_breakdown) - AS_EXPECTED or not outcomes[Outcome.COMPLETED]:
        return NightStatus.INCOMPLETE
    if not all(document.compares for document in compared):
        return NightStatus.INCOMPLETE
    if nightly.fail_on_improvement and any(document.has_failed(on_improvement=True) for document in compared):
        return NightStatus.IMPROVED
    return NightStatus.GOOD
