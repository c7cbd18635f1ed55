"""What can be made to go wrong with calls, on demand."""

from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from threading import Lock
from typing import Final


class Fault(StrEnum):
    """What happens to a call."""

    THROTTLED = "throttled"
    """Refused for now: RequestLimitExceeded, SlowDown, ThrottlingException."""
    BROKEN = "broken"
    """Answered with 500 InternalError."""
    DENIED = "denied"
    """Refused by IAM."""
    FULL = "full"
    """Refused for want of room, as S3 servers with a quota do."""
    RESET = "reset"
    """The connection breaks in the middle of the request; nothing is carried out."""
    LOST = "lost"
    """It is carried out, and the connection breaks before the answer."""
    CUT = "cut"
    """It is carried out, and the connection breaks in the middle of the answer's body."""
    NONSENSE = "nonsense"
    """Something else answers 200 with a page for people."""
    ALTERED = "altered"
    """A byte of the body is another one when it arrives."""
    SLOW = "slow"
    """It is answered late: see `StrictAws.slowness`."""


CARRIED_OUT: Final = frozenset({Fault.LOST, Fault.CUT, Fault.ALTERED, Fault.SLOW})
"""The faults with which a call gets through to AWS."""

CODES: Final[dict[Fault, dict[str, tuple[int, str]]]] = {
    Fault.THROTTLED: {
        "ec2": (503, "RequestLimitExceeded"), "s3": (503, "SlowDown"), "": (400, "ThrottlingException"),
    },
    Fault.BROKEN: {"ec2": (500, "InternalError"), "s3": (500, "InternalError"), "": (500, "InternalFailure")},
    Fault.DENIED: {
        "ec2": (403, "UnauthorizedOperation"), "s3": (403, "AccessDenied"), "": (400, "AccessDeniedException"),
    },
    Fault.FULL: {"": (403, "QuotaExceeded")},
}  # fmt: skip
"""Status and code by service, for the faults that are refusals ("Error codes for the Amazon EC2 API", S3's "Error
responses", "Common errors" of the JSON services; the last one is radosgw's)."""


@dataclass(slots=True)
class _Planned:
    fault: Fault
    pattern: str
    times: int


class Faults:
    """The plan of what goes wrong; the first entry that fits a call is taken."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._planned: list[_Planned] = []

    def plan(self, fault: Fault, pattern: str, times: int) -> None:
        """The next calls whose name fits (`ec2:AttachVolume`, `s3:*`), as often as `times` says."""
        with self._lock:
            self._planned.append(_Planned(fault, pattern, times))

    def clear(self) -> None:
        """Nothing goes wrong any more."""
        with self._lock:
            self._planned.clear()

    def take(self, name: str) -> Fault | None:
        """What is to go wrong with a call."""
        with self._lock:
            for planned in self._planned:
                if planned.times > 0 and fnmatchcase(name, planned.pattern):
                    planned.times -= 1
                    return planned.fault
        return None
