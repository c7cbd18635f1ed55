"""What passes between the process that reads a volume and its parent, which stores: also when one of them fails."""

import socket
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from spotwatch.cli.ship.relay import Relay, relayed
from spotwatch.core.errors import (
    AwsRefused,
    DestinationDenied,
    DestinationError,
    DestinationFull,
    LeaseLost,
    SpotwatchError,
    WorkerFailed,
)
from spotwatch.ship.destination import Destination, Directory
from tests.ship.store import Memory

CHUNK = b"x" * 300_000


class Failing(Memory):
    """Stores and reads as much as it is told, and then fails."""

    def __init__(self, error: Exception, after: int = 0) -> None:
        super().__init__()
        self.error, self.after = error, after

    def put(self, key: str, chunks: Iterable[bytes]) -> bool:  # noqa: ARG002 (it is not stored)
        for _ in zip(range(self.after), chunks, strict=False):
            pass
        raise self.error

    def read(self, key: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:  # noqa: ARG002 (likewise)
        yield from [CHUNK] * self.after
        raise self.error


Relayed = Callable[[Destination], Relay]


@pytest.fixture
def relay() -> Iterator[Relayed]:
    """A destination at the other end."""
    contexts = []

    def begin(destination: Destination) -> Relay:
        context = relayed(lambda: destination)
        contexts.append(context)
        return Relay(context.__enter__(), "memory:")

    yield begin
    for context in contexts:
        context.__exit__(None, None, None)


ERRORS = [
    DestinationFull("no room", hint="make some"),
    DestinationDenied("not yours"),
    AwsRefused("it makes no sense", hint="look"),
]


@pytest.mark.parametrize("after", [0, 1, 3])
@pytest.mark.parametrize("error", ERRORS)
def test_what_the_destination_raises_comes_out_as_what_it_was(
    relay: Relayed, error: SpotwatchError, after: int
) -> None:
    here = relay(Failing(error, after))
    for _ in range(2):  # and the next request is understood
        with pytest.raises(type(error)) as raised:
            here.put("key", [CHUNK] * 3)
        assert (raised.value.message, raised.value.hint) == (error.message, error.hint)
        with pytest.raises(type(error)):
            list(here.read("key"))


def test_content_that_breaks_off_is_not_stored_and_the_next_request_is_understood(relay: Relayed) -> None:
    there = Memory()
    here = relay(there)

    def broken() -> Iterator[bytes]:
        yield CHUNK
        raise LeaseLost("it is somebody else's")

    with pytest.raises(LeaseLost):
        here.put("key", broken())
    assert here.find("key") is None
    assert here.put("key", [CHUNK, b"", b"y"])
    assert there.objects == {"key": CHUNK + b"y"}


def test_who_stops_reading_early_can_ask_the_next_thing(relay: Relayed) -> None:
    there = Memory()
    there.objects = {"key": CHUNK}
    here = relay(there)
    reading = here.read("key")
    assert next(reading) == CHUNK
    assert b"".join(here.read("key", 1, 5)) == b"xxxxx"


def test_content_that_was_not_wanted_to_its_end_is_passed_over(relay: Relayed) -> None:
    class Late(Memory):
        """Finds only after the first chunk that the key is taken."""

        def put(self, key: str, chunks: Iterable[bytes]) -> bool:  # noqa: ARG002 (it is not stored)
            next(iter(chunks))
            return False

    here = relay(Late())
    assert not here.put("key", [CHUNK] * 5)
    assert here.find("key") is None


def test_a_child_that_dies_in_mid_object_has_stored_nothing(tmp_path: Path) -> None:

    def dying(connection: socket.socket) -> Iterator[bytes]:
        yield CHUNK
        connection.shutdown(socket.SHUT_RDWR)
        yield CHUNK

    with relayed(lambda: Directory(tmp_path)) as connection:
        here = Relay(connection, "")
        with pytest.raises(WorkerFailed, match="has gone"):
            here.put("key", dying(connection))
    assert list(tmp_path.iterdir()) == []


def test_a_parent_that_has_gone_is_told_of() -> None:
    ours, theirs = socket.socketpair()
    here = Relay(theirs, "")
    ours.close()
    for ask in (lambda: here.find("key"), lambda: here.put("key", []), lambda: list(here.read("key"))):
        with pytest.raises(WorkerFailed, match="has gone"):
            ask()
    theirs.close()


def test_a_destination_that_cannot_be_made_is_what_is_told_in_the_end() -> None:
    def make() -> Destination:
        raise AwsRefused("there is no region", hint="set AWS_REGION")

    with pytest.raises(AwsRefused, match="there is no region"), relayed(make) as connection:
        Relay(connection, "").find("key")


def test_a_bug_of_the_serving_thread_is_not_lost() -> None:
    with pytest.raises(ZeroDivisionError), relayed(lambda: Failing(ZeroDivisionError())) as connection:
        Relay(connection, "").put("key", [])


def test_a_connection_that_is_not_used_ends_without_a_word(tmp_path: Path) -> None:
    with relayed(lambda: Directory(tmp_path)):
        pass


def test_a_child_that_keeps_its_end_open_holds_up_nothing(tmp_path: Path) -> None:
    """It hangs in the kernel, and is left behind."""
    with relayed(lambda: Directory(tmp_path)) as connection:
        left_behind = connection.dup()
    left_behind.close()
    with pytest.raises(DestinationError):
        list(Directory(tmp_path).read("key"))
