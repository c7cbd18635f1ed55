from collections.abc import Callable
from enum import StrEnum

import pytest

from spotwatch.core import reading

NOT_TEXTS: list[object] = [None, 1, 1.5, True, [], {}]


class Colour(StrEnum):
    RED = "red"
    DARK_BLUE = "dark-blue"


@pytest.mark.parametrize(
    ("read", "value", "expected"),
    [
        (reading.read_text, "name", "name"),
        (reading.read_switch, False, False),
        (reading.read_integer, -3, -3),
        (reading.read_count, 1, 1),
        (reading.read_duration, "0s", 0.0),
        (reading.read_duration, "1m30s", 90.0),
        (reading.read_positive_duration, "1ms", 0.001),
        (reading.read_interval, "100ms", 0.1),
        (reading.read_optional_interval, "5s", 5.0),
        (reading.read_optional_interval, "off", None),
        (reading.read_size, "1MiB", 2**20),
        (reading.read_size, 65536, 65536),
        (reading.read_absolute_path, "/var/lib/spotwatch", "/var/lib/spotwatch"),
        (reading.read_endpoint, "http://169.254.169.254", "http://169.254.169.254"),
        (reading.read_endpoint, "http://[fd00:ec2::254]/", "http://[fd00:ec2::254]"),
        (reading.read_endpoint, "http://localhost:8080", "http://localhost:8080"),
        (reading.read_words, ["/bin/true", ""], ("/bin/true", "")),
        (reading.read_one_of(Colour), "dark-blue", Colour.DARK_BLUE),
    ],
)
def test_a_good_value_becomes_what_the_program_works_with(
    read: reading.Reader, value: object, expected: object
) -> None:
    found = read(value)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("read", "values", "cure"),
    [
        (reading.read_text, [*NOT_TEXTS, "", "  "], "write a text in quotes"),
        (reading.read_switch, ["true", 1, 0, None], "write true or false, without quotes"),
        (reading.read_integer, ["3", 3.0, True, None], "write a whole number, without quotes"),
        (reading.read_count, [0, -1], "write a whole number of at least 1"),
        (reading.read_count, ["3", True], "write a whole number, without quotes"),
        (reading.read_duration, [20, 2.5, None, ["20s"]], "write a duration in quotes with its unit"),
        (reading.read_duration, ["20", "-1s", ""], '"20s"'),
        (reading.read_positive_duration, ["0s", "0ms"], "write a duration longer than zero"),
        (reading.read_interval, ["99ms", "0s"], '"100ms"'),
        (reading.read_optional_interval, ["99ms", "on", "OFF", False, 5], 'or "off"'),
        (reading.read_size, [True, 1.5, None], 'write a size, such as "1MiB"'),
        (reading.read_size, ["1.5MiB", -1], "write a number of bytes"),
        (reading.read_absolute_path, ["var/lib", "~/state", "."], "write an absolute path"),
        (reading.read_words, ["true", [], ["a", 1], {"a": "b"}, None], "write a list of texts"),
        (reading.read_one_of(Colour), ["green", "RED", "", 1, None], 'write one of "red", "dark-blue"'),
    ],
)
def test_a_bad_value_is_refused_with_what_to_write_instead(
    read: reading.Reader, values: list[object], cure: str
) -> None:
    for value in values:
        assert cure in refusal(read, value)


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "https://169.254.169.254",
        "http://",
        "http://169.254.169.254/latest",
        "http://169.254.169.254?x=1",
        "http://169.254.169.254#top",
        "http://user@169.254.169.254",
        "http://169.254.169.254:port",
        "http://169.254.169.254:0",
        "http://169.254.169.254:70000",
        "http://[fd00:ec2::254",
    ],
)
def test_an_endpoint_is_a_host_and_perhaps_a_port(address: str) -> None:
    assert "http://169.254.169.254" in refusal(reading.read_endpoint, address)


@pytest.mark.parametrize(
    ("text", "shown"), [("a b é ☃", "a b é ☃"), ("a\n\t\x1b[2J\0", r"a\n\t\x1b[2J\x00"), ("\u202e", r"\u202e")]
)
def test_a_printable_text_is_one_line_that_does_nothing(text: str, shown: str) -> None:
    assert reading.printable(text) == shown


def test_a_relative_path_is_named_in_its_refusal() -> None:
    assert '"state" depends on where the daemon was started' in refusal(reading.read_absolute_path, "state")


def refusal(read: Callable[[object], object], value: object) -> str:
    """What the reader says; no reader raises anything but ValueError."""
    with pytest.raises(ValueError, match=r"^.*write ") as caught:
        read(value)
    return str(caught.value)
