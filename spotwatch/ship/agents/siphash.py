"""SipHash-2-4 (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012), which no part of Python offers.

It hashes 512 bytes of each file that rsyslog has followed, so it need not be fast.
"""

import struct
from typing import Final

_MASK: Final = 2**64 - 1
_WORDS: Final = struct.Struct("<2Q")
_INITIAL: Final = tuple(int.from_bytes(b"somepseudorandomlygeneratedbytes"[n : n + 8]) for n in range(0, 32, 8))

_State = tuple[int, int, int, int]


def siphash_2_4(key: bytes, data: bytes) -> bytes:
    """The 8 bytes of the hash.

    Args:
        key: 16 bytes.
        data: of any length.
    """
    low, high = _WORDS.unpack(key)
    state = (_INITIAL[0] ^ low, _INITIAL[1] ^ high, _INITIAL[2] ^ low, _INITIAL[3] ^ high)
    padded = data + bytes(-(len(data) + 1) % 8) + bytes([len(data) % 256])
    for (word,) in struct.iter_unpack("<Q", padded):
        a, b, c, d = _rounds((state[0], state[1], state[2], state[3] ^ word), 2)
        state = (a ^ word, b, c, d)
    a, b, c, d = _rounds((state[0], state[1], state[2] ^ 0xFF, state[3]), 4)
    return (a ^ b ^ c ^ d).to_bytes(8, "little")


def _rounds(state: _State, count: int) -> _State:
    a, b, c, d = state
    for _ in range(count):
        a = (a + b) & _MASK
        b = _rotated(b, 13) ^ a
        a = _rotated(a, 32)
        c = (c + d) & _MASK
        d = _rotated(d, 16) ^ c
        a = (a + d) & _MASK
        d = _rotated(d, 21) ^ a
        c = (c + b) & _MASK
        b = _rotated(b, 17) ^ c
        c = _rotated(c, 32)
    return a, b, c, d


def _rotated(word: int, bits: int) -> int:
    return ((word << bits) | (word >> (64 - bits))) & _MASK
