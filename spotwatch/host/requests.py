"""Requests for a drain, as ``spotwatch drain`` leaves them for the daemon in the journal's file."""

from dataclasses import dataclass

from spotwatch.core.errors import StateUnavailable
from spotwatch.host.journal_file import JournalFile


@dataclass(frozen=True, slots=True)
class DrainRequest:
    """Somebody has asked the daemon for a drain.

    Attributes:
        number: what tells it from other requests.
        event: the kind of event to act as if it had been announced.
        seconds: the time there is.
    """

    number: int
    event: str
    seconds: float


class Requests:
    """The requests in the file of a journal."""

    def __init__(self, file: JournalFile) -> None:
        self._file = file

    def add(self, event: str, seconds: float) -> int:
        """Ask the daemon for a drain; the number of the request.

        Raises:
            StateUnavailable: it could not be written.
        """
        number = "(SELECT coalesce(max(number), 0) + 1 FROM request)"
        problem = self._file.write(f"INSERT INTO request VALUES ({number}, ?, ?, NULL)", event, seconds)  # noqa: S608 (no input in it)
        rows = self._file.read("SELECT last_insert_rowid()")
        if problem or not rows:
            raise StateUnavailable(problem or self._file.problem, hint="run as the daemon's user, or as root")
        return int(rows[0][0])

    def waiting(self) -> list[DrainRequest]:
        """The requests that nobody has taken, the oldest first."""
        rows = self._file.read("SELECT number, event, seconds FROM request WHERE drain IS NULL ORDER BY number")
        return [DrainRequest(*row) for row in rows]

    def take(self, number: int, drain: str) -> str:
        """Write which drain a request became, an empty id if it was refused; why it could not be written."""
        return self._file.write("UPDATE request SET drain = ? WHERE number = ?", drain, number)

    def answer(self, number: int) -> str | None:
        """The drain that a request became, an empty text if it was refused, None while nobody has taken it."""
        rows = self._file.read("SELECT drain FROM request WHERE number = ?", number)
        return rows[0][0] if rows else None

    def close(self, number: int) -> str:
        """Write that nobody waits for its answer any more; why it could not be written, or an empty text."""
        return self.take(number, "")

    def prune(self, keep: int) -> str:
        """Forget all but the newest; why it could not be done, or an empty text."""
        return self._file.write("DELETE FROM request WHERE number <= (SELECT max(number) FROM request) - ?", keep)
