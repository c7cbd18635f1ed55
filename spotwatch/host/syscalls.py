"""System calls that Python 3.11 has no words for, with `OSError` where C has errno.

Their numbers are the same on every architecture that EC2 offers (arch/*/tools/syscall*.tbl: all calls since Linux 5.2).
"""

import ctypes
import os
from typing import Final

FSOPEN: Final = 430
FSCONFIG: Final = 431
FSMOUNT: Final = 432
OPENAT2: Final = 437

_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.syscall.restype = ctypes.c_long

Argument = int | bytes | None | ctypes.Structure


def syscall(number: int, *arguments: Argument) -> int:
    """What the call answers.

    Args:
        number: one of the constants of this module.
        arguments: integers as they are, bytes as a C string, structures by reference, None as the null pointer.

    Raises:
        OSError: the kernel refused; ENOSYS where it does not know the call.
    """
    answer: int = _LIBC.syscall(ctypes.c_long(number), *map(_word, arguments))
    if answer < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return answer


def _word(argument: Argument) -> object:
    match argument:
        case int():
            return ctypes.c_long(argument)
        case None | bytes():
            return ctypes.c_char_p(argument)
        case _:
            return ctypes.byref(argument)
