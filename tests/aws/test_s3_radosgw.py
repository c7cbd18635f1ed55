"""A bucket of a real S3 server: what it checks that doubles do not, and what networks do on the way to it."""

import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from spotwatch.aws.s3 import PART_BYTES, Bucket
from spotwatch.aws.session import Api, Session
from spotwatch.core.errors import AwsRefused, DestinationError, DestinationFull
from spotwatch.core.stored import Stored
from spotwatch.host.clock import Clock
from tests.aws.lossy_proxy import LossyProxy, Trouble
from tests.radosgw import WHY_NOT, Gateway

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)]

SMALL = bytes(range(256)) * 800
LARGE = bytes(range(256)) * (PART_BYTES // 256) * 2 + SMALL
"""Three parts."""

PUT = rb"PUT /\S+/key "
PART = rb"PUT /\S+partNumber="
COMPLETE = rb"POST /\S+uploadId="
GET = rb"GET /\S+/key "


@pytest.fixture
def proxy(radosgw: Gateway) -> Iterator[LossyProxy]:
    with LossyProxy(radosgw.port) as running:
        yield running


@pytest.fixture
def api(radosgw: Gateway, proxy: LossyProxy, monkeypatch: pytest.MonkeyPatch) -> Api:
    """S3 as it is seen through the proxy, by a client that soon loses its patience with a silent server."""
    for name, value in radosgw.environment(proxy.url).items():
        monkeypatch.setenv(name, value)
    return Session(Clock(), patience=20, read_timeout=1.5).api("s3")


@pytest.fixture
def name(api: Api) -> str:
    name = f"bucket-{uuid.uuid4()}"
    api.call("CreateBucket", Bucket=name)
    return name


@pytest.fixture
def bucket(api: Api, name: str) -> Bucket:
    return Bucket(api, name, "logs")


def read(bucket: Bucket, start: int = 0, length: int | None = None) -> bytes:
    return b"".join(bucket.read("key", start, length))


def uploads(api: Api, name: str) -> list[str]:
    return [upload["Key"] for upload in api.call("ListMultipartUploads", Bucket=name).get("Uploads", ())]


@pytest.mark.parametrize("size", [0, 1, len(SMALL), PART_BYTES, len(LARGE)])
def test_what_is_stored_is_found_and_read(bucket: Bucket, size: int) -> None:
    assert bucket.put("key", [LARGE[:size]])
    assert bucket.find("key") == Stored("key", size)
    assert read(bucket) == LARGE[:size]


@pytest.mark.parametrize(("start", "length"), [(0, 1), (PART_BYTES - 2, 4), (5, None), (len(LARGE) - 1, 1)])
def test_a_range_is_read(bucket: Bucket, start: int, length: int | None) -> None:
    bucket.put("key", [LARGE])
    assert read(bucket, start, length) == LARGE[start : None if length is None else start + length]


class TestOnTheWayThere:
    @pytest.mark.parametrize("trouble", [Trouble.CUT, Trouble.GARBLED, Trouble.SLOW_DOWN, Trouble.SILENT])
    def test_a_part_in_trouble_is_sent_again(
        self, proxy: LossyProxy, api: Api, name: str, bucket: Bucket, trouble: Trouble
    ) -> None:
        proxy.plan(trouble, PART, times=2)
        assert bucket.put("key", [LARGE])
        assert (proxy.left, read(bucket), uploads(api, name)) == (0, LARGE, [])

    @pytest.mark.parametrize("trouble", [Trouble.CUT, Trouble.GARBLED, Trouble.SLOW_DOWN])
    def test_a_small_object_in_trouble_is_sent_again(self, proxy: LossyProxy, bucket: Bucket, trouble: Trouble) -> None:
        proxy.plan(trouble, PUT)
        assert bucket.put("key", [SMALL])
        assert (proxy.left, read(bucket)) == (0, SMALL)

    @pytest.mark.parametrize(("request_", "data"), [(PUT, SMALL), (COMPLETE, LARGE)], ids=["whole", "in parts"])
    @pytest.mark.parametrize("trouble", [Trouble.LOST, Trouble.SILENT])
    def test_an_object_whose_last_answer_is_lost_is_there_once_and_whole(
        self, proxy: LossyProxy, api: Api, name: str, bucket: Bucket, request_: bytes, data: bytes, trouble: Trouble
    ) -> None:
        proxy.plan(trouble, request_)
        bucket.put("key", [data])
        assert (proxy.left, read(bucket), uploads(api, name)) == (0, data, [])
        assert not bucket.put("key", [b"another"])

    def test_a_body_that_always_arrives_damaged_is_told_and_leaves_nothing(
        self, proxy: LossyProxy, api: Api, name: str, bucket: Bucket
    ) -> None:
        proxy.plan(Trouble.GARBLED, PART, times=100)
        with pytest.raises(DestinationError, match=r"BadDigest|XAmzContentSHA256Mismatch"):
            bucket.put("key", [LARGE])
        assert (bucket.find("key"), uploads(api, name)) == (None, [])

    def test_a_server_that_always_asks_for_patience_is_told_of(self, proxy: LossyProxy, name: str) -> None:
        proxy.plan(Trouble.SLOW_DOWN, PUT, times=1000)
        with pytest.raises(DestinationError, match="SlowDown"):
            Bucket(Session(Clock(), patience=2).api("s3"), name).put("key", [SMALL])


class TestOnTheWayBack:
    @pytest.mark.parametrize("trouble", [Trouble.CUT_ANSWER, Trouble.LOST, Trouble.SILENT, Trouble.SLOW_DOWN])
    def test_a_range_in_trouble_is_asked_for_again(self, proxy: LossyProxy, bucket: Bucket, trouble: Trouble) -> None:
        bucket.put("key", [LARGE])
        proxy.plan(trouble, GET)
        assert (read(bucket), proxy.left) == (LARGE, 0)


class TestOthers:
    def test_who_complete_the_object_during_an_upload_win(self, api: Api, name: str, bucket: Bucket) -> None:
        """The server does not look at If-None-Match there; our own look does."""

        def meanwhile() -> Iterator[bytes]:
            yield LARGE
            assert bucket.put("key", [SMALL])

        assert not bucket.put("key", meanwhile())
        assert (read(bucket), uploads(api, name)) == (SMALL, [])

    @pytest.mark.parametrize("data", [SMALL, LARGE], ids=["whole", "in parts"])
    def test_who_store_the_same_object_at_the_same_time_leave_it_whole(self, bucket: Bucket, data: bytes) -> None:
        """A shipment is the same whoever makes it, so it does not matter which of two it is; a fault may be retried."""

        def put(_: int) -> bool:
            try:
                return bucket.put("key", [data])
            except DestinationError:
                return False

        with ThreadPoolExecutor(4) as racers:
            list(racers.map(put, range(4)))
        bucket.put("key", [data])
        assert read(bucket) == data

    def test_who_were_killed_in_an_upload_leave_it_to_the_next(self, api: Api, name: str, bucket: Bucket) -> None:
        killed = subprocess.run([sys.executable, "-c", KILLED, name], timeout=60, check=False)
        assert killed.returncode == -signal.SIGKILL
        assert (uploads(api, name), bucket.find("key")) == (["logs/key"], None)
        assert bucket.put("key", [LARGE])
        assert (read(bucket), uploads(api, name)) == (LARGE, [])


KILLED = """
import os, signal, sys
from spotwatch.aws.s3 import PART_BYTES, Bucket
from spotwatch.aws.session import Session
from spotwatch.host.clock import Clock

def chunks():
    yield bytes(3 * PART_BYTES)
    os.kill(os.getpid(), signal.SIGKILL)

Bucket(Session(Clock(), patience=20).api("s3"), sys.argv[1], "logs").put("key", chunks())
"""


class TestWhatTheServerSays:
    @pytest.mark.parametrize("data", [SMALL, LARGE], ids=["whole", "in parts"])
    def test_no_room_is_told_as_such_and_leaves_nothing(
        self, radosgw: Gateway, api: Api, name: str, bucket: Bucket, data: bytes
    ) -> None:
        quota = ("--quota-scope=bucket", f"--bucket={name}")
        radosgw.admin("quota", "set", *quota, "--max-size=100000")
        radosgw.admin("quota", "enable", *quota)
        with pytest.raises(DestinationFull, match="QuotaExceeded") as caught:
            bucket.put("key", [data])
        assert "make room" in caught.value.hint
        assert (bucket.find("key"), uploads(api, name)) == (None, [])

    def test_a_listing_has_all_of_its_pages(self, api: Api, name: str, bucket: Bucket) -> None:
        keys = [f"{number:04d}" for number in range(1005)]
        with ThreadPoolExecutor(8) as senders:
            list(senders.map(lambda key: api.call("PutObject", Bucket=name, Key=f"logs/{key}", Body=b"x"), keys))
        assert [found.key for found in bucket.below("")] == keys

    def test_a_wrong_md5_is_refused(self, api: Api, name: str) -> None:
        with pytest.raises(AwsRefused, match="BadDigest"):
            api.call("PutObject", Bucket=name, Key="key", Body=SMALL, ContentMD5="AAAAAAAAAAAAAAAAAAAAAA==")
