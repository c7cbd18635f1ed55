"""One moment on two clocks: the boot clock that deadlines run on, and the UTC that people and AWS speak."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta


@dataclass(frozen=True, slots=True)
class Instant:
    """A moment, read from both clocks of the machine at once.

    The boot clock (``CLOCK_BOOTTIME``, seconds) goes on during a hibernation and never jumps; the system's UTC can be
    set while we look. So spans and deadlines are reckoned in boot seconds, and UTC is for showing and for comparing
    with what AWS says.
    """

    boot: float
    utc: datetime

    def utc_of(self, boot: float) -> datetime:
        """The UTC of another moment of the boot clock, as the system's clock stood at this instant."""
        return self.utc + timedelta(seconds=boot - self.boot)

    def boot_of(self, utc: datetime) -> float:
        """The boot clock's reading at a moment given in UTC, as the system's clock stood at this instant."""
        return self.boot + (utc - self.utc).total_seconds()


def format_utc(moment: datetime) -> str:
    """RFC 3339 in UTC with milliseconds: ``2026-11-22T08:22:00.125Z``."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_utc(text: str) -> datetime:
    """The moment that an RFC 3339 text names; one without an offset is taken for UTC, as AWS writes some.

    Raises:
        ValueError: the text is no such time.
    """
    moment = datetime.fromisoformat(text.strip())
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"{text.strip()!r} is outside of what a clock can show in UTC") from error
