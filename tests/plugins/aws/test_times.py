"""Times in the cache files of the AWS tools."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from botocore.utils import parse_timestamp
from hypothesis import given, strategies as st

from grantway_plugins.aws._cache.times import read_time, write_time

MOMENTS = st.datetimes(
    min_value=datetime(1970, 1, 1),  # noqa: DTZ001 - the strategy requires naive datetimes
    max_value=datetime(9999, 12, 31),  # noqa: DTZ001
    timezones=st.just(UTC),
).map(lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000))


@given(MOMENTS)
def test_reads_each_format_like_botocore(moment: datetime) -> None:
    second = moment.strftime("%Y-%m-%dT%H:%M:%S")
    forms = [
        f"{second}Z",
        f"{second}UTC",
        f"{second}.{moment.microsecond // 1000:03d}Z",
        f"{second}+00:00",
    ]
    for form in forms:
        assert read_time(form) == pytest.approx(parse_timestamp(form).timestamp(), abs=1e-3)


@given(st.floats(min_value=0, max_value=253402300799, allow_nan=False))
def test_writes_the_format_of_botocore_to_the_second(seconds: float) -> None:
    text = write_time(seconds)
    assert datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).year >= 1970
    assert read_time(text) == seconds // 1
    assert parse_timestamp(text).timestamp() == seconds // 1


@given(st.text() | st.none() | st.integers() | st.floats() | st.binary())
def test_returns_none_for_other_text(value: object) -> None:
    assert read_time(value) is None


@pytest.mark.parametrize(
    "text",
    [
        "2026-13-02T03:04:05Z",
        "2026-02-30T03:04:05Z",
        "2026-01-02T24:04:05Z",
        "2026-01-02 03:04:05Z",
        "2026-01-02T03:04:05",
        "2026-01-02T03:04:05Z ",
        "2026-01-02T03:04:05.Z",
        "2026-01-02T03:04:05+99:99",
        "\u0662026-01-02T03:04:05Z",
    ],
)
def test_returns_none_for_almost_valid_times(text: str) -> None:
    assert read_time(text) is None


@pytest.mark.parametrize("seconds", [1e18, -1e18])
def test_rejects_times_outside_the_calendar(seconds: float) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        write_time(seconds)
