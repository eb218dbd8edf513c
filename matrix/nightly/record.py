"""The record of a night, and the nights that a results folder has."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from bench.contract.base import Document
from bench.contract.storage.documents import NewerVersionError, read_document
from bench.contract.storage.files import write_document

NIGHT_FILE = "night.json"
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


class NightStatus(StrEnum):
    """What a night is worth to the next one."""

    GOOD = "good"
    REGRESSED = "regressed"
    IMPROVED = "improved"
    INCOMPLETE = "incomplete"


class NightRecord(Document):
    """What became of a night, in its folder."""

    version: Literal[1] = 1
    night: str = Field(description="date on which the night began, YYYY-MM-DD")
    status: NightStatus
    accepted: bool = Field(False, description="a person found it good, whatever its status")
    compared_with: str | None = Field(None, description="folder of the last good night before it")
    summary: list[str]

    @property
    def is_good(self) -> bool:
        """True if later nights may be compared with it."""
        return self.accepted or self.status is NightStatus.GOOD


@dataclass(frozen=True)
class RecordedNight:
    """A night with a record."""

    folder: Path
    record: NightRecord

    @property
    def name(self) -> str:
        """Its date."""
        return self.record.night


def night_of(now: datetime) -> str:
    """Return the date on which a night began: the same before and after midnight."""
    return (now - timedelta(hours=12)).strftime("%Y-%m-%d")


def is_date(text: str) -> bool:
    """Return True for a day that exists, as YYYY-MM-DD."""
    if _DATE.fullmatch(text) is None:
        return False
    try:
        date.fromisoformat(text)
    except ValueError:  # such as 2030-02-30
        return False
    return True


def night_folder(results: Path, night: str, sweep: str) -> Path:
    """Return the folder of a sweep's night."""
    return results / night / sweep


def recorded_nights(results: Path, sweep: str) -> list[RecordedNight]:
    """Return the nights of a sweep that have a record, oldest first; folders of other names are nobody's."""
    return sorted(_found(results, sweep), key=lambda night: night.name)


def last_good(nights: list[RecordedNight], before: str) -> RecordedNight | None:
    """Return the newest good night before a date."""
    return next((night for night in reversed(nights) if night.name < before and night.record.is_good), None)


def write_record(folder: Path, record: NightRecord) -> None:
    """Write the record of a night."""
    write_document(folder / NIGHT_FILE, record)


def _found(results: Path, sweep: str) -> Iterator[RecordedNight]:
    for file in results.glob(f"*/{sweep}/{NIGHT_FILE}"):
        night = file.parents[1].name
        if not is_date(night) or file.parent.is_symlink() or file.parents[1].is_symlink():
            continue
        try:
            record = read_document(file, NightRecord)
        except (ValidationError, NewerVersionError):  # not ours to compare with, nor to prune
            continue
        if record.night == night:
            yield RecordedNight(file.parent, record)
