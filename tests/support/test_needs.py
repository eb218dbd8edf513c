"""What is missing is said aloud, and fails where nothing may be missing."""

from __future__ import annotations

import pytest

from tests.support.needs import NO_SKIPS, missing


def test_what_is_missing_is_skipped_with_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(NO_SKIPS, raising=False)
    with (
        pytest.warns(UserWarning, match="not tested: a thing is missing: buy one"),
        pytest.raises(pytest.skip.Exception),
    ):
        missing("a thing", "buy one")


def test_what_is_missing_fails_where_nothing_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NO_SKIPS, "1")
    with pytest.raises((pytest.fail.Exception, pytest.skip.Exception), match="a thing is missing: buy one") as ended:
        missing("a thing", "buy one")
    assert ended.type is pytest.fail.Exception, "a skip that escapes would skip this test"
