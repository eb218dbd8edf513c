"""A night from its settings to its end: judged, recorded, told, and earlier nights pruned."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from matrix.errors import InputError, suggestion
from matrix.nightly.judge_night import judge
from matrix.nightly.keep import Pruned, prunable, prune
from matrix.nightly.nightly_file import NightlyFile
from matrix.nightly.record import (
    NightRecord,
    NightStatus,
    RecordedNight,
    last_good,
    night_folder,
    recorded_nights,
    write_record,
)
from matrix.nightly.tell import tell
from reports.data.faults import ReportError
from reports.nights.golden import read_golden


@dataclass(frozen=True)
class Tonight:
    """A night of a sweep.

    Attributes:
        file: the nightly file.
        sweep: name of the sweep.
        date: the night's.

    """

    file: NightlyFile
    sweep: str
    date: str

    @property
    def folder(self) -> Path:
        """Its sweep's folder."""
        return night_folder(Path(self.file.results), self.date, self.sweep)

    @property
    def recorded(self) -> list[RecordedNight]:
        """All nights with a record, oldest first."""
        return recorded_nights(Path(self.file.results), self.sweep)

    @cached_property
    def good(self) -> RecordedNight | None:
        """The last good night before it."""
        return last_good(self.recorded, self.date)

    @cached_property
    def golden_from(self) -> str:
        """The folder that golden values were accepted from, empty without any.

        Raises:
            InputError: the file of golden values is named and cannot be read.

        """
        if self.file.golden is None:
            return ""
        try:
            return read_golden(Path(self.file.golden)).accepted_from
        except ReportError as error:
            raise InputError(f"golden: {error}; or leave `golden` out until there are such values") from error

    def pruned(self) -> list[Pruned]:
        """Return what is deleted of earlier nights once this one has a record."""
        nights = self.recorded
        if all(night.name != self.date for night in nights):
            record = NightRecord(night=self.date, status=NightStatus.INCOMPLETE, summary=[])
            nights = sorted([*nights, RecordedNight(self.folder, record)], key=lambda night: night.name)
        found = prunable(nights, self.file.keep, self.golden_from)
        return [each for each in found if each.night < self.date]  # a night that is judged late is not the newest

    def accept(self) -> None:
        """Mark the night as good.

        Raises:
            InputError: it has no record.

        """
        nights = {night.name: night for night in self.recorded}
        if self.date not in nights:
            raise InputError(f"--accept: there is no night {self.date} of {self.sweep}{suggestion(self.date, nights)}")
        found = nights[self.date]
        write_record(found.folder, found.record.model_copy(update={"accepted": True}))

    def finish(self, trouble: str) -> tuple[NightRecord, list[str]]:
        """Judge and record the night, tell of it and prune; return its record, and what went wrong with the rest.

        A record that cannot be written, as on a full disk, is told of, and earlier nights are pruned all the same.

        Args:
            trouble: why its runs were not all made, empty if they were.

        """
        problems: list[str] = []
        record = judge(self.folder, self.date, self.file, self.good, trouble)
        was = next((night.record for night in self.recorded if night.name == self.date), None)
        if was is not None and was.accepted:
            record = record.model_copy(update={"accepted": True})
        if self.folder.is_dir():
            try:
                write_record(self.folder, record)
            except OSError as error:
                problems.append(f"{error.filename or self.folder}: cannot be written: {error.strerror}")
                record = _unrecorded(record, problems[0])
        problems.append(self.tell(record.status, record.summary))
        problems += prune(self.pruned())
        return record, list(filter(None, problems))

    def tell(self, status: NightStatus, summary: list[str]) -> str:
        """Tell of the night if its settings say so; return what went wrong, or ""."""
        is_wanted = self.file.tell_when == "always" or status is not NightStatus.GOOD
        return tell(self.file.tell, status, self.folder, summary) if self.file.tell and is_wanted else ""


def _unrecorded(record: NightRecord, problem: str) -> NightRecord:
    """Return what is said of a night that could not be recorded: no later night is compared with it."""
    status = record.status if record.status is NightStatus.REGRESSED else NightStatus.INCOMPLETE
    summary = [f"{record.night}: {status.value}", problem, *record.summary[1:]]
    return record.model_copy(update={"status": status, "summary": summary})
