"""The journal's file: what is written is there, what is no journal is kept aside, and trouble is a reason, no error."""

import os
import shutil
import sqlite3
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from spotwatch.core.errors import StateUnavailable
from spotwatch.host.journal import Journal, OpenDrain, PastDrain
from spotwatch.host.journal_file import VERSION, Access
from spotwatch.host.requests import DrainRequest
from tests.host.conftest import needs_root

FILE = "journal.sqlite"
A_PAGE = 4096


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with closing(Journal(str(tmp_path))) as journal:
        assert journal.problem == ""
        yield journal


@contextmanager
def reader(directory: Path) -> Iterator[Journal]:
    with closing(Journal(str(directory), Access.READ)) as journal:
        yield journal


def write_drain(journal: Journal, name: str = "d-1", steps: int = 2) -> None:
    assert journal.open_drain(name, "a-boot", f"opening of {name}") == ""
    for number in range(steps):
        assert journal.add_step(name, 0.1 + number, f"happening {number}", "[]") == ""


def close(journal: Journal, *names: str) -> None:
    for name in names:
        assert journal.open_drain(name, "a-boot", "o" * 10_000) == ""
        assert journal.close_drain(name, "over") == ""


def ids(journal: Journal) -> list[str]:
    return [drain.id for drain in journal.history()]


def ask(directory: Path, question: str) -> object:
    """The answer of the file to a question in SQL; of a connection's own settings it would answer the defaults."""
    with closing(sqlite3.connect(directory / FILE)) as connection:
        return connection.execute(question).fetchone()[0]


def of_connection(journal: Journal, pragma: str) -> object:
    """A setting of the journal's own connection, which nothing else shows."""
    assert journal._file._connection is not None
    return journal._file._connection.execute(f"PRAGMA {pragma}").fetchone()[0]


class TestWhatIsWritten:
    def test_an_open_drain_is_read_as_it_was_written(self, tmp_path: Path, journal: Journal) -> None:
        write_drain(journal)
        journal.close()
        with reader(tmp_path) as later:
            steps = ((0.1, "happening 0"), (1.1, "happening 1"))
            assert later.unfinished() == [OpenDrain("d-1", "a-boot", "opening of d-1", steps)]

    def test_it_is_there_for_another_process_as_soon_as_it_is_written(self, tmp_path: Path, journal: Journal) -> None:
        write_drain(journal, steps=1)
        with reader(tmp_path) as beside:
            assert len(beside.unfinished()[0].steps) == 1
            assert journal.add_step("d-1", 9.0, "more", "[]") == ""
            assert beside.unfinished()[0].steps[-1] == (9.0, "more")

    def test_times_come_back_to_the_last_bit(self, journal: Journal) -> None:
        """The machine, fed the same times, has to give the same orders."""
        journal.open_drain("d-1", "a-boot", "")
        times = [0.1, 1 / 3, 123456789.123456789, 5e-324]
        for at in times:
            journal.add_step("d-1", at, "x", "[]")
        assert [at for at, _ in journal.unfinished()[0].steps] == times

    def test_a_drain_without_steps_is_unfinished_too(self, journal: Journal) -> None:
        write_drain(journal, steps=0)
        assert journal.unfinished() == [OpenDrain("d-1", "a-boot", "opening of d-1", ())]

    def test_a_closed_drain_is_history_with_its_report_and_its_note(self, journal: Journal) -> None:
        write_drain(journal)
        assert journal.history() == [PastDrain("d-1", None, "", closed=False)]
        assert journal.keep_report("d-1", "{}") == ""
        assert journal.close_drain("d-1", "armed") == ""
        assert journal.unfinished() == []
        assert journal.history() == [PastDrain("d-1", "{}", "armed", closed=True)]
        assert journal.report("d-1") == "{}"

    def test_drains_come_in_the_order_in_which_they_began_also_if_the_clock_was_set_back(
        self, journal: Journal
    ) -> None:
        for name in ("20261122T09", "20261122T08", "20261122T10"):
            write_drain(journal, name)
        assert [drain.id for drain in journal.unfinished()] == ["20261122T09", "20261122T08", "20261122T10"]
        assert ids(journal) == ["20261122T09", "20261122T08", "20261122T10"]

    def test_a_drain_that_the_file_does_not_know_is_a_reason(self, journal: Journal) -> None:
        assert journal.add_step("d-9", 1.0, "x", "[]").endswith("does not know the drain d-9")
        assert journal.keep_report("d-9", "{}").endswith("does not know the drain d-9")
        assert journal.report("d-9") is None

    def test_a_second_drain_of_the_same_name_is_a_reason_and_leaves_the_first_alone(self, journal: Journal) -> None:
        write_drain(journal)
        assert journal.open_drain("d-1", "b-boot", "another") != ""
        assert journal.unfinished()[0].opening == "opening of d-1"


class TestTheFile:
    def test_it_is_written_ahead_and_every_commit_reaches_the_disk(self, tmp_path: Path, journal: Journal) -> None:
        assert ask(tmp_path, "PRAGMA journal_mode") == "wal"
        assert of_connection(journal, "synchronous") == 2  # FULL
        assert of_connection(journal, "foreign_keys") == 1

    def test_its_tables_are_strict_and_its_version_is_in_it(self, tmp_path: Path, journal: Journal) -> None:
        assert journal.problem == ""
        with closing(sqlite3.connect(tmp_path / FILE)) as connection:
            tables = connection.execute("SELECT name, strict FROM pragma_table_list WHERE schema = 'main'").fetchall()
        assert {name for name, strict in tables if strict} == {"drain", "step", "request"}
        assert ask(tmp_path, "PRAGMA user_version") == VERSION

    def test_nobody_else_may_read_it_whatever_the_umask(self, tmp_path: Path) -> None:
        former = os.umask(0)
        try:
            with closing(Journal(str(tmp_path))) as journal:
                write_drain(journal)
                modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
        finally:
            os.umask(former)
        assert modes == {FILE: 0o600, f"{FILE}-wal": 0o600, f"{FILE}-shm": 0o600}

    def test_odd_characters_in_the_directory_are_no_part_of_a_uri(self, tmp_path: Path) -> None:
        directory = tmp_path / "50%20off?mode=memory#1"
        directory.mkdir()
        with closing(Journal(str(directory))) as journal:
            write_drain(journal)
        assert (directory / FILE).stat().st_size > 0


def zeroes(file: Path) -> None:
    file.write_bytes(bytes(3 * A_PAGE))


def text(file: Path) -> None:
    file.write_text("this is no database\n" * 500)


def truncated_in_a_page(file: Path) -> None:
    os.truncate(file, file.stat().st_size - A_PAGE // 2)


def truncated_to_one_page(file: Path) -> None:
    os.truncate(file, A_PAGE)


def flipped(file: Path) -> None:
    """Every page but the first upside down."""
    data = file.read_bytes()
    file.write_bytes(data[:A_PAGE] + bytes(byte ^ 0xFF for byte in data[A_PAGE:]))


def flipped_schema(file: Path) -> None:
    data = file.read_bytes()
    file.write_bytes(data[:100] + bytes(byte ^ 0xFF for byte in data[100:A_PAGE]) + data[A_PAGE:])


def in_sql(file: Path, *statements: str) -> None:
    with closing(sqlite3.connect(file)) as connection:
        for statement in statements:
            connection.execute(statement)


def newer(file: Path) -> None:
    in_sql(file, f"PRAGMA user_version = {VERSION + 1}")


def of_another_program(file: Path) -> None:
    file.unlink()
    in_sql(file, "CREATE TABLE somebody (s)")


def without_a_table(file: Path) -> None:
    in_sql(file, "DROP TABLE request")


SPOILERS = [
    (zeroes, "is damaged"),
    (text, "is damaged (file is not a database)"),
    (truncated_in_a_page, "is damaged"),
    (truncated_to_one_page, "is damaged"),
    (flipped, "is damaged"),
    (flipped_schema, "is damaged"),
    (newer, "was written by a newer spotwatch"),
    (of_another_program, "is no journal of spotwatch (it holds the tables somebody)"),
    (without_a_table, "is no journal of spotwatch (it holds the tables drain, step)"),
]


@pytest.fixture(params=SPOILERS, ids=lambda spoiler: spoiler[0].__name__)
def spoiled(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """What is wrong with the file of the test's directory."""
    with closing(Journal(str(tmp_path))) as journal:
        for number in range(20):
            write_drain(journal, f"d-{number}", steps=20)
    spoil: Callable[[Path], None]
    words: str
    spoil, words = request.param
    spoil(tmp_path / FILE)
    return words


class TestUnusableFiles:
    def test_it_is_kept_aside_as_it_was_and_a_new_one_is_begun(self, tmp_path: Path, spoiled: str) -> None:
        content = (tmp_path / FILE).read_bytes()
        with closing(Journal(str(tmp_path))) as journal:
            assert journal.problem == ""
            assert journal.kept_aside.startswith(f"{tmp_path / FILE} {spoiled}")
            assert journal.history() == []
            journal.open_drain("d-1", "a-boot", "opening of d-1")
            assert ids(journal) == ["d-1"]
            (aside,) = tmp_path.glob(f"{FILE}.*.unusable")
            assert journal.kept_aside.endswith(f"it is kept as {aside}")
            assert aside.read_bytes() == content

    def test_who_only_reads_is_told_and_leaves_it_where_it_is(self, tmp_path: Path, spoiled: str) -> None:
        content = (tmp_path / FILE).read_bytes()
        with reader(tmp_path) as journal:
            assert spoiled in journal.problem
            assert journal.history() == []
            assert journal.unfinished() == []
        assert (tmp_path / FILE).read_bytes() == content
        assert not list(tmp_path.glob("*.unusable"))

    def test_a_second_one_does_not_replace_the_first(self, tmp_path: Path) -> None:
        for _ in range(2):
            text(tmp_path / FILE)
            with closing(Journal(str(tmp_path))) as journal:
                assert journal.kept_aside
        assert len(list(tmp_path.glob(f"{FILE}.*.unusable"))) == 2

    def test_its_write_ahead_log_goes_with_it(self, tmp_path: Path) -> None:
        text(tmp_path / FILE)
        (tmp_path / f"{FILE}-wal").write_text("somebody's")
        with closing(Journal(str(tmp_path))) as journal:
            write_drain(journal)
        (aside,) = tmp_path.glob("*.unusable-wal")
        assert aside.read_text() == "somebody's"

    def test_one_that_is_empty_is_simply_begun(self, tmp_path: Path) -> None:
        (tmp_path / FILE).touch()
        with closing(Journal(str(tmp_path))) as journal:
            assert (journal.problem, journal.kept_aside) == ("", "")
            write_drain(journal)

    def test_a_byte_that_is_no_text_does_not_hide_the_other_drains(self, tmp_path: Path, journal: Journal) -> None:
        write_drain(journal, "d-1")
        write_drain(journal, "d-2")
        with closing(sqlite3.connect(tmp_path / FILE)) as connection, connection:
            connection.execute("UPDATE drain SET opening = CAST(x'ff7b' AS TEXT) WHERE id = 'd-1'")
        assert [drain.opening for drain in journal.unfinished()] == ["\ufffd{", "opening of d-2"]


class TestDuringADrain:
    """The file is there when the drain begins, and not as it should be when the next step is written."""

    def test_a_file_that_was_removed_is_begun_anew_with_the_whole_drain(self, tmp_path: Path, journal: Journal) -> None:
        write_drain(journal, steps=1)
        for path in tmp_path.iterdir():
            path.unlink()
        assert journal.add_step("d-1", 5.0, "late", "[]") == f"{tmp_path / FILE} was removed; a new one is begun"
        assert journal.add_step("d-1", 6.0, "later", "[]") == ""
        with reader(tmp_path) as beside:
            steps = ((0.1, "happening 0"), (5.0, "late"), (6.0, "later"))
            assert beside.unfinished() == [OpenDrain("d-1", "a-boot", "opening of d-1", steps)]

    def test_of_a_drain_that_this_process_has_not_begun_a_new_file_knows_nothing_and_says_so(
        self, tmp_path: Path, journal: Journal
    ) -> None:
        write_drain(journal)
        journal.close()
        with closing(Journal(str(tmp_path))) as later:
            (tmp_path / FILE).unlink()
            assert later.add_step("d-1", 5.0, "late", "[]").endswith("does not know the drain d-1")
            write_drain(later, "d-2")
            assert [(drain.id, len(drain.steps)) for drain in later.unfinished()] == [("d-2", 2)]

    def test_a_directory_that_was_removed_is_a_reason_until_it_is_there_again(self, tmp_path: Path) -> None:
        directory = tmp_path / "state"
        directory.mkdir()
        with closing(Journal(str(directory))) as journal:
            write_drain(journal, steps=0)
            directory.rename(tmp_path / "gone")
            problem = journal.add_step("d-1", 1.0, "one", "[]")
            assert problem.startswith(f"{directory / FILE} cannot be used: ")
            directory.mkdir()
            assert "was removed" in journal.add_step("d-1", 2.0, "two", "[]")
            assert journal.unfinished()[0].steps == ((1.0, "one"), (2.0, "two"))

    @pytest.mark.parametrize("spoil", [zeroes, text, flipped, flipped_schema])
    def test_a_file_that_was_overwritten_raises_nothing_and_is_used_again_after_a_restart(
        self, tmp_path: Path, spoil: Callable[[Path], None]
    ) -> None:
        with closing(Journal(str(tmp_path))) as journal:
            write_drain(journal, steps=50)
            journal.prune(keep=1, not_before="", at_most_bytes=1)
        with closing(Journal(str(tmp_path))) as journal:
            journal.unfinished()
            spoil(tmp_path / FILE)
            for number in range(20):
                journal.add_step("d-1", float(number), "x" * 1000, "[]")
            journal.unfinished()
            journal.history()
        with closing(Journal(str(tmp_path))) as journal:
            write_drain(journal, "d-2")
            assert "d-2" in ids(journal)

    def test_a_file_that_was_truncated_raises_nothing_and_is_used_again(self, tmp_path: Path, journal: Journal) -> None:
        write_drain(journal)
        os.truncate(tmp_path / FILE, 0)
        for number in range(20):
            journal.add_step("d-1", float(number), "x" * 1000, "[]")
        journal.close()
        with closing(Journal(str(tmp_path))) as later:
            write_drain(later, "d-2")
            assert "d-2" in ids(later)

    def test_somebody_who_holds_the_file_for_long_is_waited_for_once(self, tmp_path: Path, journal: Journal) -> None:
        """One second, not one for each step: a hook's SIGKILL waits behind it."""
        write_drain(journal, steps=0)
        with closing(sqlite3.connect(tmp_path / FILE, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            assert "database is locked" in journal.add_step("d-1", 1.0, "one", "[]")
            assert of_connection(journal, "busy_timeout") == 0
            assert "database is locked" in journal.add_step("d-1", 2.0, "two", "[]")
            other.execute("ROLLBACK")
        assert journal.add_step("d-1", 3.0, "three", "[]") == ""
        assert of_connection(journal, "busy_timeout") == 1000
        assert [text for _, text in journal.unfinished()[0].steps] == ["one", "two", "three"]


@contextmanager
def disk(directory: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    directory.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", directory], check=True)
    try:
        yield directory
    finally:
        subprocess.run(["umount", "--lazy", directory], check=True)


def fill(directory: Path) -> Path:
    """Leave no byte free; the file that takes them all."""
    ballast = directory / "ballast"
    with suppress(OSError), ballast.open("ab", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
    return ballast


class TestDisks:
    def test_a_directory_that_is_none_is_a_reason_for_everything(self, tmp_path: Path) -> None:
        (tmp_path / "state").touch()
        with closing(Journal(str(tmp_path / "state"))) as journal:
            why = f"{tmp_path}/state/{FILE} cannot be used: "
            assert journal.problem.startswith(why)
            assert journal.open_drain("d-1", "a-boot", "").startswith(why)
            assert journal.add_step("d-1", 1.0, "x", "[]").startswith(why)
            assert journal.keep_report("d-1", "{}").startswith(why)
            assert journal.close_drain("d-1", "").startswith(why)
            assert journal.prune(keep=1, not_before="", at_most_bytes=1).startswith(why)
            assert (journal.unfinished(), journal.history(), journal.requests.waiting()) == ([], [], [])
            assert (journal.requests.answer(1), journal.report("d-1")) == (None, None)
            with pytest.raises(StateUnavailable, match="cannot be used") as caught:
                journal.requests.add("terminate", 5.0)
            assert caught.value.hint

    def test_a_directory_that_is_made_later_gets_the_whole_drain(self, tmp_path: Path) -> None:
        with closing(Journal(str(tmp_path / "state"))) as journal:
            assert journal.open_drain("d-1", "a-boot", "opening") != ""
            (tmp_path / "state").mkdir()
            assert journal.add_step("d-1", 1.0, "x", "[]") == ""
            assert journal.problem == ""
            assert journal.unfinished() == [OpenDrain("d-1", "a-boot", "opening", ((1.0, "x"),))]

    @needs_root
    def test_a_disk_that_fills_up_is_a_reason_and_gets_what_it_missed_when_there_is_room(self, tmp_path: Path) -> None:
        with disk(tmp_path / "state") as state, closing(Journal(str(state))) as journal:
            write_drain(journal, steps=1)
            ballast = fill(state)
            problems = [journal.add_step("d-1", float(number), f"step {number}", "x" * 5000) for number in range(9)]
            assert problems[-1].endswith("cannot be written: database or disk is full")
            ballast.unlink()
            assert journal.add_step("d-1", 99.0, "last", "[]") == ""
            texts = [text for _, text in journal.unfinished()[0].steps]
            assert texts == ["happening 0", *(f"step {number}" for number in range(9)), "last"]

    @needs_root
    def test_a_disk_that_is_full_from_the_beginning_is_used_as_soon_as_there_is_room(self, tmp_path: Path) -> None:
        with disk(tmp_path / "state") as state:
            ballast = fill(state)
            with closing(Journal(str(state))) as journal:
                assert journal.problem
                assert journal.open_drain("d-1", "a-boot", "opening") == journal.problem
                ballast.unlink()
                assert journal.add_step("d-1", 1.0, "x", "[]") == ""
                assert len(journal.unfinished()[0].steps) == 1

    @needs_root
    def test_a_drain_on_a_disk_that_is_read_only_now_can_still_be_gone_on_with(self, tmp_path: Path) -> None:
        """As a file system makes itself after an error, while the daemon is being restarted."""
        with disk(tmp_path / "state") as state:
            with closing(Journal(str(tmp_path))) as former:
                write_drain(former, steps=1)
                for file in tmp_path.glob(f"{FILE}*"):
                    shutil.copy(file, state)
            subprocess.run(["mount", "-o", "remount,ro", state], check=True)
            with closing(Journal(str(state))) as journal:
                assert [len(drain.steps) for drain in journal.unfinished()] == [1]
                assert journal.add_step("d-1", 5.0, "x", "[]").startswith(f"{state / FILE} cannot be written: ")

    @needs_root
    def test_a_read_only_disk_without_a_journal_is_a_reason(self, tmp_path: Path) -> None:
        with disk(tmp_path / "state") as state:
            subprocess.run(["mount", "-o", "remount,ro", state], check=True)
            with closing(Journal(str(state))) as journal:
                assert "Read-only file system" in journal.problem


class TestPruning:
    FOR_EVER = 10**9

    def test_only_the_newest_stay(self, journal: Journal) -> None:
        close(journal, "1", "2", "3")
        assert journal.prune(keep=2, not_before="", at_most_bytes=self.FOR_EVER) == ""
        assert ids(journal) == ["2", "3"]

    def test_the_newest_are_those_that_began_last_whatever_the_clock_showed(self, journal: Journal) -> None:
        close(journal, "3", "1", "2")
        journal.prune(keep=2, not_before="", at_most_bytes=self.FOR_EVER)
        assert ids(journal) == ["1", "2"]

    def test_old_ones_go(self, journal: Journal) -> None:
        close(journal, "20260101T000000.000Z-stop", "20261122T082003.125Z-terminate")
        journal.prune(keep=20, not_before="20260601T000000", at_most_bytes=self.FOR_EVER)
        assert ids(journal) == ["20261122T082003.125Z-terminate"]

    def test_the_oldest_go_while_the_file_is_too_large(self, journal: Journal) -> None:
        close(journal, *(f"{number:02}" for number in range(40)))
        assert journal.prune(keep=99, not_before="", at_most_bytes=200_000) == ""
        left = ids(journal)
        assert 1 <= len(left) < 20
        assert left[-1] == "39"

    def test_a_drain_that_is_not_closed_never_goes_and_nothing_spins_for_it(self, journal: Journal) -> None:
        write_drain(journal, "0", steps=50)
        close(journal, "1")
        assert journal.prune(keep=1, not_before="9", at_most_bytes=1) == ""
        assert ids(journal) == ["0"]
        assert len(journal.unfinished()[0].steps) == 50

    def test_its_steps_go_with_a_drain(self, tmp_path: Path, journal: Journal) -> None:
        write_drain(journal)
        journal.close_drain("d-1", "")
        journal.prune(keep=20, not_before="e", at_most_bytes=self.FOR_EVER)
        assert ask(tmp_path, "SELECT count(*) FROM step") == 0

    def test_a_drain_whose_report_somebody_waits_for_stays_until_it_is_read(self, journal: Journal) -> None:
        number = journal.requests.add("stop", 1.0)
        journal.requests.take(number, "d-1")
        close(journal, "d-1", "d-2")
        for at_most_bytes in (self.FOR_EVER, 0):
            journal.prune(keep=1, not_before="e", at_most_bytes=at_most_bytes)
            assert ids(journal) == ["d-1"]
        journal.requests.close(number)
        journal.prune(keep=1, not_before="e", at_most_bytes=self.FOR_EVER)
        assert ids(journal) == []

    def test_old_requests_go(self, tmp_path: Path, journal: Journal) -> None:
        for _ in range(5):
            journal.requests.take(journal.requests.add("stop", 1.0), "d-1")
        journal.prune(keep=2, not_before="", at_most_bytes=self.FOR_EVER)
        assert ask(tmp_path, "SELECT count(*) FROM request") == 2
        assert journal.requests.add("stop", 1.0) == 6


class TestReaders:
    def test_a_reader_sees_what_is_there_and_makes_nobody_wait(self, tmp_path: Path, journal: Journal) -> None:
        write_drain(journal)
        with closing(sqlite3.connect(tmp_path / FILE, isolation_level=None)) as other, reader(tmp_path) as history:
            other.execute("BEGIN")
            other.execute("SELECT * FROM drain").fetchall()
            assert journal.add_step("d-1", 7.0, "beside a reader", "[]") == ""
            assert ids(history) == ["d-1"]

    def test_where_there_is_no_journal_a_reader_makes_none(self, tmp_path: Path) -> None:
        for directory in (tmp_path, tmp_path / "none"):
            with reader(directory) as history:
                assert history.is_missing
                assert history.history() == []
        assert list(tmp_path.iterdir()) == []

    def test_a_reader_cannot_write(self, tmp_path: Path, journal: Journal) -> None:
        write_drain(journal)
        with reader(tmp_path) as history:
            assert "readonly" in history.close_drain("d-1", "")
            with pytest.raises(StateUnavailable, match="readonly"):
                history.requests.add("stop", 1.0)
        assert len(journal.unfinished()) == 1

    def test_a_reader_waits_for_a_journal_that_is_being_begun(self, tmp_path: Path) -> None:
        (tmp_path / FILE).touch()
        with reader(tmp_path) as history:
            assert history.history() == []
            assert not history.is_missing
            with closing(Journal(str(tmp_path))) as journal:
                write_drain(journal)
                assert ids(history) == ["d-1"]


class TestRequests:
    def test_a_request_is_there_until_somebody_has_taken_it(self, tmp_path: Path, journal: Journal) -> None:
        with closing(Journal(str(tmp_path), Access.ASK)) as asking:
            first, second = asking.requests.add("terminate", 90.5), asking.requests.add("stop", 5)
            assert journal.requests.waiting() == [
                DrainRequest(first, "terminate", 90.5),
                DrainRequest(second, "stop", 5.0),
            ]
            assert asking.requests.answer(first) is None
            assert journal.requests.take(first, "d-1") == ""
            assert journal.requests.take(second, "") == ""
            assert (asking.requests.answer(first), asking.requests.answer(second)) == ("d-1", "")
        assert journal.requests.waiting() == []

    def test_who_asks_begins_no_journal(self, tmp_path: Path) -> None:
        with closing(Journal(str(tmp_path), Access.ASK)) as asking:
            assert asking.is_missing
            with pytest.raises(StateUnavailable, match="No such file or directory"):
                asking.requests.add("stop", 1.0)
        assert list(tmp_path.iterdir()) == []

    def test_who_asks_keeps_nothing_aside(self, tmp_path: Path) -> None:
        text(tmp_path / FILE)
        with closing(Journal(str(tmp_path), Access.ASK)) as asking:
            assert "is damaged" in asking.problem
        assert [path.name for path in tmp_path.iterdir()] == [FILE]
