"""What becomes of memory that is freed (mallopt(3))."""

import ctypes
from contextlib import suppress
from typing import Final

_TRIM_THRESHOLD: Final = -1  # malloc.h: M_TRIM_THRESHOLD, M_MMAP_THRESHOLD
_MMAP_THRESHOLD: Final = -3

_LARGEST_BLOCK: Final = 32 * 1024 * 1024
"""Bytes: the most that glibc takes from its heaps (DEFAULT_MMAP_THRESHOLD_MAX); anything larger it maps each time."""


def keep_freed_memory(size: int) -> None:
    """Have the C library keep so many bytes at the end of each of its heaps for the next blocks.

    By itself glibc gives a large block that is freed back to the kernel, and gets the next one page by page, each page
    filled with zeros before: for who handles megabytes, one after the other, a tenth of the kernel's time. Of another C
    library nothing is asked.
    """
    with suppress(AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_MMAP_THRESHOLD, _LARGEST_BLOCK)
        mallopt(_TRIM_THRESHOLD, size)
