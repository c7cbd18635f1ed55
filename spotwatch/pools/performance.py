"""What a vCPU of a family is worth, where capacity is counted in performance.

A vCPU is a thread. On most x86 types two of them share a core; on Graviton and on AMD from generation 7 each is a core
of its own (DescribeInstanceTypes, `DefaultThreadsPerCore`). That much is documented, so the factor that is derived here
counts cores: 1 for a vCPU that is half a core, 2 for one that is a whole core. It says nothing of clock, of
instructions per cycle or of what your program gains from a second thread, and no such figure is invented. Whoever has
measured gives the factors of the families in a file: a JSON object such as `{"c6i": 1.0, "c7a": 1.7}`.
"""

import os
from collections.abc import Mapping

from spotwatch.core.capacity import InstanceType
from spotwatch.core.errors import InputError
from spotwatch.pools.documents import json_of, read

_THREADS = 2
"""Threads of a core whose vCPU counts 1: what most x86 types have."""

_LEAST, _MOST = 0.01, 100.0
"""Factors beyond these are mistakes of writing."""


def derived(kind: InstanceType) -> float:
    """The factor of one vCPU of a type by its threads per core alone."""
    return _THREADS / kind.threads_per_core


def factor(kind: InstanceType, given: Mapping[str, float]) -> float:
    """The factor of one vCPU of a type: that given for its family, else the derived one."""
    return given.get(kind.parts.family, derived(kind))


def factors(path: str | os.PathLike[str]) -> dict[str, float]:
    """The factors by family that a file gives.

    Raises:
        InputError: it cannot be read, or is no object of families with numbers from 0.01 to 100.
    """
    document = read(path)
    content = json_of(document)
    if not isinstance(content, dict):
        raise InputError(f"{document.path} holds no JSON object", hint='write {"c6i": 1.0, "c7a": 1.7}')
    return {family: _number(document.path, family, value) for family, value in content.items()}


def _number(path: str, family: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not _LEAST <= value <= _MOST:
        raise InputError(
            f"{path}: {family}: {value!r} is no factor", hint=f"write a number from {_LEAST:g} to {_MOST:g}"
        )
    return float(value)
