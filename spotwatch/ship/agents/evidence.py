"""What agents note of a file's content, to know it again. Each is computed as the agent computes it."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

import xxhash

from spotwatch.ship.agents.siphash import siphash_2_4
from spotwatch.ship.position import Fingerprint

SIXTY_FOUR_BITS: Final = 2**64 - 1


@dataclass(frozen=True, slots=True)
class TailMarker:
    """Fluent Bit's: a hash of the last bytes before the offset (`plugins/in_tail/tail_file.c`, since 5.0).

    Lines that end alike give one hash, so it refutes a position better than it proves one.

    Attributes:
        offset: the byte after the last that was hashed.
        length: how many bytes were.
        hash: XXH3, 64 bits, as a signed number in the database and so here.
    """

    offset: int
    length: int
    hash: int

    def agrees(self, file: BinaryIO, size: int) -> bool:
        """Whether the bytes before the offset are those that were hashed."""
        start = self.offset - self.length
        if start < 0 or self.offset > size:
            return False
        file.seek(start)
        data = file.read(self.length)
        return len(data) == self.length and xxhash.xxh3_64_intdigest(data) == self.hash & SIXTY_FOUR_BITS


class FirstBlock(Fingerprint):
    """rsyslog's: SipHash-2-4 of the first 512 bytes, in hexadecimal (`plugins/imfile/imfile.c`, FILE_ID_SIZE)."""

    __slots__ = ()

    LENGTH: Final = 512
    KEY: Final = bytes(range(16))

    @classmethod
    def of(cls, file: BinaryIO, size: int) -> frozenset[int | str]:
        """The hash; shorter files have none."""
        data = _head(file, min(size, cls.LENGTH))
        return frozenset([siphash_2_4(cls.KEY, data).hex()] if len(data) == cls.LENGTH else [])


class FirstKilobyte(Fingerprint):
    """Filebeat's: SHA-256 of the first 1024 bytes, in hexadecimal (filestream's `file_identity.fingerprint`)."""

    __slots__ = ()

    LENGTH: Final = 1024

    @classmethod
    def of(cls, file: BinaryIO, size: int) -> frozenset[int | str]:
        """The hash; shorter files are not harvested."""
        data = _head(file, min(size, cls.LENGTH))
        return frozenset([hashlib.sha256(data).hexdigest()] if len(data) == cls.LENGTH else [])


class FirstLines(Fingerprint):
    """Vector's: CRC-64/ECMA-182 of the first lines with their newlines (`file-source-common/src/fingerprinter.rs`).

    How many lines is set where Vector runs and noted nowhere, so all usual numbers are tried.
    """

    __slots__ = ()

    MOST_LINES: Final = 8
    WINDOW: Final = 102_400
    """Vector's `max_line_bytes`: what goes into the checksum at most, lines or not."""

    @classmethod
    def of(cls, file: BinaryIO, size: int) -> frozenset[int | str]:
        """A checksum for each number of lines; without a whole line there is none."""
        data = _head(file, min(size, cls.WINDOW))
        checksum, done, values = 0, 0, list[int]()
        for end in cls._ends(data):
            checksum, done = crc64(data[done:end], checksum), end
            values.append(checksum)
        return frozenset(values)

    @classmethod
    def _ends(cls, data: bytes) -> Iterator[int]:
        end = 0
        for _ in range(cls.MOST_LINES):
            end = data.find(b"\n", end) + 1
            if not end:
                if len(data) == cls.WINDOW:
                    yield cls.WINDOW
                return
            yield end


def _head(file: BinaryIO, length: int) -> bytes:
    file.seek(0)
    return file.read(length)


def _crc64_table(polynomial: int) -> tuple[int, ...]:
    table = []
    for byte in range(256):
        value = byte << 56
        for _ in range(8):
            value = (value << 1) ^ (polynomial if value >> 63 else 0)
            value &= SIXTY_FOUR_BITS
        table.append(value)
    return tuple(table)


_CRC64: Final = _crc64_table(0x42F0E1EBA9EA3693)


def crc64(data: bytes, start: int = 0) -> int:
    """CRC-64/ECMA-182 of the data; of data that goes on where a checksum ended, if that is given."""
    value = start
    for byte in data:
        value = ((value << 8) & SIXTY_FOUR_BITS) ^ _CRC64[(value >> 56) ^ byte]
    return value
