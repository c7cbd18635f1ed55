"""What every destination promises, asked of each kind: a directory, S3 as the double plays it, and a real S3 server.

And of a directory at the other end of a socket, as the process that reads a volume sees it.
"""

import base64
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from spotwatch.aws.s3 import PART_BYTES, Bucket
from spotwatch.aws.session import Api, Session
from spotwatch.cli.ship.relay import Relay, relayed
from spotwatch.core.errors import AwsRefused, DestinationError, LeaseLost
from spotwatch.core.stored import Stored
from spotwatch.host.clock import Clock
from spotwatch.ship.destination import Destination, Directory
from tests.cloud import Cloud

LARGE = PART_BYTES * 2 + 12_345


KINDS = ["directory", "bucket", pytest.param("radosgw", marks=[pytest.mark.slow, pytest.mark.root])]


@pytest.fixture(params=[*KINDS, "relay"])
def destination(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Destination]:
    if request.param != "relay":
        yield made(request, tmp_path)
        return
    with relayed(lambda: Directory(tmp_path / "shipped")) as connection:
        yield Relay(connection, "file:///shipped")


@pytest.fixture(params=KINDS)
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> Destination:
    """One that several threads may use."""
    return made(request, tmp_path)


def made(request: pytest.FixtureRequest, tmp_path: Path) -> Destination:
    if request.param == "directory":
        return Directory(tmp_path / "shipped")
    if request.param == "bucket":
        cloud: Cloud = request.getfixturevalue("cloud")
        return Bucket(cloud.session().api("s3"), cloud.bucket(), "some/prefix")
    api, name = request.getfixturevalue("radosgw_bucket")
    return Bucket(api, name, "some/prefix")


def content(size: int, seed: int = 1) -> bytes:
    block = bytes((seed + n) % 251 for n in range(251))
    return (block * (size // 251 + 1))[:size]


def chunks(data: bytes, size: int = 100_000) -> Iterator[bytes]:
    yield from (data[start : start + size] for start in range(0, len(data), size))


def read(destination: Destination, key: str, start: int = 0, length: int | None = None) -> bytes:
    return b"".join(destination.read(key, start, length))


@pytest.mark.parametrize("size", [0, 1, PART_BYTES - 1, PART_BYTES, PART_BYTES + 1, LARGE])
def test_what_is_stored_is_read_back(destination: Destination, size: int) -> None:
    data = content(size)
    assert destination.put("a/b/c.zst", chunks(data))
    assert destination.find("a/b/c.zst") == Stored("a/b/c.zst", size)
    assert read(destination, "a/b/c.zst") == data


@pytest.mark.parametrize("size", [10, LARGE])
def test_what_is_there_stays_as_it_is(destination: Destination, size: int) -> None:
    assert destination.put("key", chunks(content(size, 1)))
    assert not destination.put("key", chunks(content(size, 2)))
    assert read(destination, "key") == content(size, 1)


def test_a_taken_key_costs_none_of_the_content(destination: Destination) -> None:
    destination.put("key", [b"first"])
    coming = chunks(content(LARGE))
    assert not destination.put("key", coming)
    assert len(b"".join(coming)) == LARGE


def test_of_many_that_store_one_object_at_once_one_wins_and_what_it_stored_is_whole(shared: Destination) -> None:
    def put(number: int) -> bool:
        return shared.put("key", chunks(content(50_000, number)))

    with ThreadPoolExecutor(4) as racers:
        won = list(racers.map(put, range(4)))
    assert won.count(True) <= 1, "an answer may get lost, but two never win"
    assert read(shared, "key") in [content(50_000, number) for number in range(4)]


@pytest.mark.parametrize("size", [10, LARGE])
def test_content_that_breaks_off_leaves_nothing(destination: Destination, size: int) -> None:
    def broken() -> Iterator[bytes]:
        yield from chunks(content(size))
        raise LeaseLost("the volume is gone")

    with pytest.raises(LeaseLost, match="the volume is gone"):
        destination.put("key", broken())
    assert destination.find("key") is None
    assert list(destination.below("")) == []
    assert destination.put("key", [b"again"])


@pytest.mark.parametrize(
    ("start", "length"),
    [(0, 1), (5, 10), (PART_BYTES - 3, 6), (0, LARGE), (LARGE - 1, 1), (7, None), (LARGE, None), (9, 0)],
)
def test_a_range_is_read_without_the_rest(destination: Destination, start: int, length: int | None) -> None:
    data = content(LARGE)
    destination.put("key", chunks(data))
    assert read(destination, "key", start, length) == data[start : None if length is None else start + length]


def test_a_range_beyond_the_end_is_an_error(destination: Destination) -> None:
    destination.put("key", [b"0123456789"])
    with pytest.raises(DestinationError):
        read(destination, "key", 5, 10)


def test_what_is_not_there_is_not_found_and_not_read(destination: Destination) -> None:
    assert destination.find("key") is None
    with pytest.raises(DestinationError, match="key"):
        read(destination, "key")


def test_what_only_the_keys_of_others_begin_with_is_not_there(destination: Destination) -> None:
    destination.put("a/b", [b"x"])
    assert destination.find("a") is None


def test_objects_are_listed_in_the_order_of_their_keys(destination: Destination) -> None:
    assert list(destination.below("")) == []
    for number, key in enumerate(["b/2", "a/1", "a/10", "b/1/deep", "c"]):
        destination.put(key, [bytes(number)])
    assert [stored.key for stored in destination.below("")] == ["a/1", "a/10", "b/1/deep", "b/2", "c"]
    assert list(destination.below("a/1")) == [Stored("a/1", 1), Stored("a/10", 2)]
    assert [stored.key for stored in destination.below("b/")] == ["b/1/deep", "b/2"]
    assert list(destination.below("nothing/here")) == []


@pytest.mark.parametrize(
    "key", ["plain", "with space", "percent%20sign", "plus+and=and:colon", "ümlaut/日本", "a'b\"c&d<e>"]
)
def test_any_key_is_kept_as_it_is(destination: Destination, key: str) -> None:
    assert destination.put(key, [b"x"])
    assert [stored.key for stored in destination.below("")] == [key]
    assert read(destination, key) == b"x"


class TestDirectory:
    @pytest.mark.parametrize("key", ["../outside", "a/../../outside", "/absolute", "a//b", "a/./b", ".."])
    def test_a_key_never_leaves_it(self, tmp_path: Path, key: str) -> None:
        directory = Directory(tmp_path / "inside")
        with pytest.raises(DestinationError, match="is no key"):
            directory.put(key, [b"x"])
        assert list(tmp_path.rglob("*")) == []

    def test_its_url_can_be_given_again(self, tmp_path: Path) -> None:
        assert Directory(tmp_path / "with space").url == f"file://{tmp_path}/with%20space"

    def test_that_is_a_file_says_so_and_takes_nothing_for_stored(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"")
        with pytest.raises(DestinationError, match=r"File exists|Not a directory"):
            Directory(tmp_path / "file").put("key", [b"x"])
        assert Directory(tmp_path / "file").find("key") is None


@pytest.mark.slow
@pytest.mark.root
class TestARealServer:
    """What it is really there for: it checks what it is told."""

    @pytest.mark.parametrize("size", [10, PART_BYTES])
    def test_a_body_with_another_md5_is_refused(self, radosgw_bucket: tuple[Api, str], size: int) -> None:
        api, name = radosgw_bucket
        wrong = base64.b64encode(bytes(16)).decode()
        with pytest.raises(AwsRefused) as caught:
            api.call("PutObject", Bucket=name, Key="key", Body=bytes(size), ContentMD5=wrong)
        assert caught.value.code == "BadDigest"

    def test_a_wrong_secret_is_denied(self, radosgw_bucket: tuple[Api, str], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
        other = Bucket(Session(Clock(), patience=30).api("s3"), radosgw_bucket[1])
        with pytest.raises(DestinationError, match=r"SignatureDoesNotMatch|403"):
            other.put("key", [b"x"])

    def test_an_upload_that_a_dead_process_has_begun_is_aborted(self, radosgw_bucket: tuple[Api, str]) -> None:
        api, name = radosgw_bucket
        api.call("CreateMultipartUpload", Bucket=name, Key="key")
        assert Bucket(api, name).put("key", [bytes(LARGE)])
        assert not api.call("ListMultipartUploads", Bucket=name).get("Uploads")
