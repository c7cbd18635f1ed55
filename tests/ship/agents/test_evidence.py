"""The hashes by which agents know a file again, against published values and what real agents have written."""

import hashlib
from io import BytesIO

import pytest
import xxhash

from spotwatch.ship.agents.evidence import FirstBlock, FirstKilobyte, FirstLines, TailMarker, crc64
from spotwatch.ship.agents.siphash import siphash_2_4
from tests.ship.data import needs_data, shared, unpack

KEY = bytes(range(16))


@pytest.mark.parametrize(
    ("length", "expected"),
    [
        (0, "310e0edd47db6f72"),
        (1, "fd67dc93c539f874"),
        (7, "37d1018bf50002ab"),
        (8, "6224939a79f5f593"),
        (15, "e545be4961ca29a1"),
        (63, "724506eb4c328a95"),
    ],
)
def test_siphash_gives_the_values_of_its_reference_implementation(length: int, expected: str) -> None:
    assert siphash_2_4(KEY, bytes(range(length))).hex() == expected


def test_crc64_gives_the_check_value_of_the_catalogue_and_can_be_continued() -> None:
    assert crc64(b"123456789") == 0x6C40DF5F0B497347
    assert crc64(b"56789", crc64(b"1234")) == 0x6C40DF5F0B497347


def test_a_marker_is_the_hash_of_the_bytes_before_the_offset_as_a_signed_number() -> None:
    content = b"the first line\nthe second line, which is longer\nthe third"
    unsigned = xxhash.xxh3_64_intdigest(content[8:40])
    marker = TailMarker(40, 32, unsigned - 2**64 if unsigned >= 2**63 else unsigned)
    assert marker.agrees(BytesIO(content), len(content))
    assert not marker.agrees(BytesIO(content[1:]), len(content) - 1)
    assert not marker.agrees(BytesIO(content[:39]), 39)


@pytest.mark.parametrize(("kind", "length"), [(FirstBlock, 512), (FirstKilobyte, 1024)])
def test_a_file_that_is_too_short_has_no_fingerprint(kind: type[FirstBlock | FirstKilobyte], length: int) -> None:
    assert not kind.of(BytesIO(b"x" * (length - 1)), length - 1)
    assert kind.of(BytesIO(b"x" * length), length) == kind.of(BytesIO(b"x" * 9999), 9999)


def test_filebeat_s_fingerprint_is_the_sha_256_of_the_first_kilobyte() -> None:
    assert FirstKilobyte.of(BytesIO(b"y" * 5000), 5000) == {hashlib.sha256(b"y" * 1024).hexdigest()}


def test_vector_s_fingerprint_is_of_one_line_or_of_several_with_their_newlines() -> None:
    content = b"one\ntwo\nthree"
    assert FirstLines.of(BytesIO(content), len(content)) == {crc64(b"one\n"), crc64(b"one\ntwo\n")}
    assert not FirstLines.of(BytesIO(b"no newline"), 10)


def test_vector_s_fingerprint_of_a_line_that_never_ends_is_of_its_window() -> None:
    content = b"z" * (FirstLines.WINDOW + 5)
    assert FirstLines.of(BytesIO(content), len(content)) == {crc64(content[: FirstLines.WINDOW])}


@needs_data
def test_the_hash_in_the_name_of_a_real_state_file_is_that_of_its_log(tmp_path_factory: pytest.TempPathFactory) -> None:
    root = unpack(shared("agents", "rsyslog.tar.zst"), tmp_path_factory.mktemp("rsyslog")) / "rsyslog"
    with (root / "vol/log/app.log").open("rb") as log:
        assert FirstBlock("8eab8294e213f4c2").agrees(log, 450050)
        assert not FirstBlock("0352c745c7b6e631").agrees(log, 450050)
