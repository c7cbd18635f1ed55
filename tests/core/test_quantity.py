import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotwatch.core.quantity import format_duration, format_share, parse_duration, parse_share, parse_size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("20s", 20.0),
        ("0s", 0.0),
        ("1.5s", 1.5),
        ("2m", 120.0),
        ("2min", 120.0),
        ("1m30s", 90.0),
        ("1h 15m", 4500.0),
        ("1d", 86400.0),
        ("  20s ", 20.0),
    ],
)
def test_a_duration_is_numbers_with_their_units(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["", "20", "s", "-5s", "+5s", "20 s", "20S", "20seconds", "1,5s", ".5s", "5.s", "1e3s", "inf", "20s!", "1w"]
)
def test_what_is_no_duration_is_refused_with_an_example(text: str) -> None:
    """A bare number too: whether 20 means seconds or milliseconds would be a guess."""
    with pytest.raises(ValueError, match=r'is not a duration; write .*"20s"'):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0 s"),
        (0.42, "0.4 s"),
        (12.34, "12.3 s"),
        (90.0, "90 s"),
        (119.9, "119.9 s"),
        (120.0, "2 min"),
        (125.4, "2 min 5 s"),
        (600.0, "10 min"),
        (7199.4, "119 min 59 s"),
        (7199.6, "2 h"),
        (7260.0, "2 h 1 min"),
        (-12.3, "-12.3 s"),
    ],
)
def test_a_duration_is_told_as_exactly_as_people_care(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@given(st.integers(0, 10**6).map(lambda tenths: tenths / 10))
def test_a_duration_that_is_told_reads_back_within_a_minute(seconds: float) -> None:
    told = format_duration(seconds).replace(" ", "")
    assert parse_duration(told) == pytest.approx(seconds, abs=60.0)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("65536", 65536),
        ("1B", 1),
        ("1kB", 1000),
        ("1KiB", 1024),
        ("64kib", 65536),
        ("1MB", 10**6),
        ("1 MiB", 2**20),
        ("2GB", 2 * 10**9),
        (" 1GiB ", 2**30),
    ],
)
def test_a_size_is_a_whole_number_of_bytes_or_of_its_unit(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "MiB", "-1", "1.5MiB", "1 M", "1TiB", "1MiBs", "0x10", "1MiB 1KiB"])
def test_what_is_no_size_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r'is not a size; write .*"1MiB"'):
        parse_size(text)


def test_a_duration_is_a_year_at_most() -> None:
    assert parse_duration("366d") == 366 * 86400
    with pytest.raises(ValueError, match="longer than a year"):
        parse_duration("367d")


def test_nothing_has_no_sign() -> None:
    assert format_duration(-0.04) == format_duration(0.04) == "0 s"


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("5%", 0.05),
        ("5 %", 0.05),
        ("0.05", 0.05),
        ("12.5%", 0.125),
        ("0", 0.0),
        ("1", 1.0),
        ("100%", 1.0),
        (" 5% ", 0.05),
    ],
)
def test_a_share_is_a_percentage_or_a_number_up_to_1(text: str, share: float) -> None:
    assert parse_share(text) == pytest.approx(share)


@pytest.mark.parametrize("text", ["", "%", "5", "101%", "-5%", "+5%", ".5", "5,5%", "1e-2", "nan", "inf", "5%%", "٥%"])
def test_what_is_no_share_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match='write a percentage such as "5%"'):
        parse_share(text)


@given(st.integers(0, 1000))
def test_a_share_that_is_written_in_tenths_of_a_percent_is_read_again(tenths: int) -> None:
    assert parse_share(format_share(tenths / 1000)) == pytest.approx(tenths / 1000)
