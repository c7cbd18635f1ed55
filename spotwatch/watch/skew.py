"""How far AWS's clock is ahead of the system's, from the ``Date`` headers of the metadata service."""

from datetime import UTC, datetime, timedelta

from spotwatch.core.instant import Instant

RESOLUTION = timedelta(seconds=1)
"""A ``Date`` header names the second and drops the rest."""

EARLIEST = datetime(2006, 1, 1, tzinfo=UTC)
LATEST = datetime(2200, 1, 1, tzinfo=UTC)
"""EC2's first year, and one that no clock in working order shows: a date outside is nonsense, and at the ends of the
calendar it could not be reckoned with."""


class ClockSkew:
    """Narrows the skew down with every answer.

    An answer dated D that was asked for at S and arrived at R (both by the system's clock) bounds it: AWS's clock
    stood between D and D + 1 s somewhere between S and R, so the skew lies between D - R and D + 1 s - S. Answers
    at different fractions of a second narrow that to milliseconds, answers at the same one leave it a second wide; when
    nothing is left of it, a clock was set, and it begins anew.
    """

    def __init__(self) -> None:
        self._least: timedelta | None = None
        self._most: timedelta | None = None

    @property
    def known(self) -> bool:
        """Whether any answer carried a date."""
        return self._least is not None

    @property
    def estimate(self) -> timedelta:
        """AWS's clock less the system's; zero while nothing is known."""
        if self._least is None or self._most is None:
            return timedelta()
        return (self._least + self._most) / 2

    def observe(self, date: datetime, asked: Instant, answered: Instant) -> None:
        """Take in one answer; a date that no clock of AWS can show is ignored.

        The time that passed is taken from the boot clock, so that it does not matter if the system's clock was set
        meanwhile.
        """
        if not EARLIEST <= date <= LATEST:
            return
        least, most = date - answered.utc, date + RESOLUTION - answered.utc_of(asked.boot)
        if self._least is not None and self._most is not None:
            narrowed = max(least, self._least), min(most, self._most)
            if narrowed[0] <= narrowed[1]:
                least, most = narrowed
        self._least, self._most = least, most
