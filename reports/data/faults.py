"""Errors of reading sweeps."""

from __future__ import annotations

from reports.data.columns.status import DAMAGED, NEWER


class ReportError(Exception):
    """The report cannot be made; the message names the file and what would be right."""

    outcome = DAMAGED
    """Of a run, where it is one of its files."""


class NewerFileError(ReportError):
    """The same, for a file that a newer xffl-bench wrote."""

    outcome = NEWER
