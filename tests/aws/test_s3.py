"""S3 in trouble: what a bucket as a destination does when requests get lost, damaged, refused, or raced."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from spotwatch.aws.s3 import PART_BYTES, SENT_AT_MOST, Bucket, Options
from spotwatch.core.errors import DestinationError, DestinationFull
from spotwatch.simulate.strict_aws import Fault
from tests.cloud import BUCKET, Cloud

pytestmark = pytest.mark.slow

LARGE = bytes(range(256)) * (PART_BYTES // 256) * 2 + b"the last part"
SMALL = b"one part"

OUTLASTED = [Fault.THROTTLED, Fault.BROKEN, Fault.RESET, Fault.LOST, Fault.NONSENSE]


@pytest.fixture(autouse=True)
def a_bucket(cloud: Cloud) -> str:
    return cloud.bucket()


def bucket(cloud: Cloud, options: Options | None = None, patience: float = 300.0) -> Bucket:
    return Bucket(cloud.session(patience).api("s3"), BUCKET, "logs", options or Options())


def read(destination: Bucket, key: str = "key") -> bytes:
    return b"".join(destination.read(key))


def uploads(cloud: Cloud) -> list[str]:
    return [upload["Key"] for upload in cloud.s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads", ())]


class TestTrouble:
    @pytest.mark.parametrize("fault", OUTLASTED)
    @pytest.mark.parametrize(
        "operation",
        ["HeadObject", "ListMultipartUploads", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"],
    )
    def test_in_an_upload_of_many_parts_is_outlasted(self, cloud: Cloud, operation: str, fault: Fault) -> None:
        cloud.aws.plan(fault, f"s3:{operation}", times=2)
        stored = bucket(cloud).put("key", [LARGE])
        assert stored or (operation, fault) == ("CompleteMultipartUpload", Fault.LOST)
        assert read(bucket(cloud)) == LARGE
        assert fault is Fault.LOST or uploads(cloud) == []

    @pytest.mark.parametrize("fault", OUTLASTED)
    def test_with_a_small_object_is_outlasted(self, cloud: Cloud, fault: Fault) -> None:
        cloud.aws.plan(fault, "s3:PutObject")
        stored = bucket(cloud).put("key", [SMALL])
        assert stored is (fault is not Fault.LOST), "what was stored although its answer got lost is found, not written"
        assert read(bucket(cloud)) == SMALL

    @pytest.mark.parametrize("fault", [Fault.THROTTLED, Fault.BROKEN, Fault.RESET, Fault.CUT])
    def test_while_it_is_read_is_outlasted_and_only_the_broken_range_is_read_again(
        self, cloud: Cloud, fault: Fault
    ) -> None:
        destination = bucket(cloud)
        destination.put("key", [LARGE])
        cloud.aws.plan(fault, "s3:GetObject")
        assert read(destination) == LARGE
        assert cloud.aws.count("s3:GetObject") == 3 + 1

    @pytest.mark.parametrize("fault", [Fault.THROTTLED, Fault.BROKEN, Fault.RESET])
    def test_of_the_listing_is_outlasted(self, cloud: Cloud, fault: Fault) -> None:
        bucket(cloud).put("key", [SMALL])
        cloud.aws.plan(fault, "s3:ListObjectsV2", times=2)
        assert [stored.key for stored in bucket(cloud).below("")] == ["key"]

    @pytest.mark.parametrize("fault", [Fault.THROTTLED, Fault.BROKEN, Fault.RESET])
    def test_that_does_not_end_is_told_when_patience_does_and_leaves_no_upload(
        self, cloud: Cloud, fault: Fault
    ) -> None:
        cloud.aws.plan(fault, "s3:UploadPart", times=10_000)
        with pytest.raises(DestinationError, match="UploadPart"):
            bucket(cloud, patience=60).put("key", [LARGE])
        assert uploads(cloud) == []
        assert bucket(cloud).find("key") is None

    def test_of_a_slow_server_changes_nothing(self, cloud: Cloud) -> None:
        cloud.aws.slowness = lambda: cloud.clock.sleep(10)
        cloud.aws.plan(Fault.SLOW, "s3:*", times=100)
        assert bucket(cloud).put("key", [LARGE])
        assert read(bucket(cloud)) == LARGE


class TestDamage:
    @pytest.mark.parametrize(("operation", "data"), [("PutObject", SMALL), ("UploadPart", LARGE)])
    def test_of_a_body_on_its_way_is_found_and_it_is_sent_again(
        self, cloud: Cloud, operation: str, data: bytes
    ) -> None:
        cloud.aws.plan(Fault.ALTERED, f"s3:{operation}", times=SENT_AT_MOST - 1)
        assert bucket(cloud).put("key", [data])
        assert read(bucket(cloud)) == data

    @pytest.mark.parametrize(("operation", "data"), [("PutObject", SMALL), ("UploadPart", LARGE)])
    def test_of_every_body_is_told(self, cloud: Cloud, operation: str, data: bytes) -> None:
        cloud.aws.plan(Fault.ALTERED, f"s3:{operation}", times=1000)
        with pytest.raises(DestinationError, match="BadDigest"):
            bucket(cloud).put("key", [data])
        assert bucket(cloud).find("key") is None
        assert uploads(cloud) == []

    def test_is_looked_for_by_the_crc32_of_each_part_and_of_the_whole(self, cloud: Cloud) -> None:
        bucket(cloud).put("key", [LARGE])
        parts = [call for call in cloud.aws.calls if call.name == "s3:UploadPart"]
        (completion,) = [call for call in cloud.aws.calls if call.name == "s3:CompleteMultipartUpload"]
        assert len(parts) == 3
        assert all("x-amz-checksum-crc32" in call.parameters for call in parts)
        assert completion.parameters["x-amz-checksum-crc32"]
        assert completion.parameters["x-amz-checksum-type"] == "FULL_OBJECT"


class TestRefusals:
    @pytest.mark.parametrize(
        "operation", ["HeadObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"]
    )
    def test_are_told_at_once_and_leave_no_upload(self, cloud: Cloud, operation: str) -> None:
        cloud.aws.plan(Fault.DENIED, f"s3:{operation}", times=100)
        with pytest.raises(DestinationError) as caught:
            bucket(cloud).put("key", [LARGE])
        assert "IAM action s3:" in caught.value.hint
        assert cloud.clock.slept == []
        assert uploads(cloud) == []

    def test_of_a_look_say_that_what_is_missing_may_look_forbidden(self, cloud: Cloud) -> None:
        cloud.aws.plan(Fault.DENIED, "s3:HeadObject")
        with pytest.raises(DestinationError) as caught:
            bucket(cloud).find("key")
        assert "s3:ListBucket" in caught.value.hint

    def test_to_list_uploads_keep_nobody_from_storing(self, cloud: Cloud) -> None:
        cloud.aws.plan(Fault.DENIED, "s3:ListMultipartUploads")
        assert bucket(cloud).put("key", [LARGE])

    def test_for_want_of_room_say_so(self, cloud: Cloud) -> None:
        cloud.aws.plan(Fault.FULL, "s3:PutObject", times=100)
        with pytest.raises(DestinationFull) as caught:
            bucket(cloud).put("key", [SMALL])
        assert caught.value.hint == "make room; what was shipped before stays"

    def test_of_a_bucket_that_is_not_there_are_told(self, cloud: Cloud) -> None:
        with pytest.raises(DestinationError, match="NoSuchBucket"):
            Bucket(cloud.session().api("s3"), "another-bucket").put("key", [SMALL])


class TestOthers:
    @pytest.mark.parametrize("data", [SMALL, LARGE])
    def test_who_store_the_object_meanwhile_win(self, cloud: Cloud, data: bytes) -> None:
        def meanwhile() -> Iterator[bytes]:
            yield data
            cloud.s3.put_object(Bucket=BUCKET, Key="logs/key", Body=b"theirs")

        assert not bucket(cloud).put("key", meanwhile())
        assert read(bucket(cloud)) == b"theirs"
        assert uploads(cloud) == []

    def test_of_two_processes_that_store_one_object_one_wins(self, cloud: Cloud) -> None:
        writers = [
            subprocess.Popen([sys.executable, "-c", WRITER, BUCKET, name], stdout=subprocess.PIPE, text=True)
            for name in ("first", "second")
        ]
        told = [writer.communicate(timeout=60)[0].strip() for writer in writers]
        assert sorted(told) == ["False", "True"]
        assert read(bucket(cloud)) == ["first", "second"][told.index("True")].encode()

    def test_who_died_in_an_upload_of_the_same_object_leave_nothing(self, cloud: Cloud) -> None:
        for key in ["logs/key", "logs/key", "logs/key-2"]:
            cloud.s3.create_multipart_upload(Bucket=BUCKET, Key=key)
        cloud.aws.world.page = 1
        assert bucket(cloud).put("key", [LARGE])
        cloud.aws.world.page = 0
        assert uploads(cloud) == ["logs/key-2"]


WRITER = """
import sys
from spotwatch.aws.s3 import Bucket
from spotwatch.aws.session import Session
from spotwatch.host.clock import Clock

bucket, name = sys.argv[1:]
print(Bucket(Session(Clock(), patience=30).api("s3"), bucket, "logs").put("key", [name.encode()]))
"""


class TestOptions:
    UNTIL = datetime(2030, 1, 31, tzinfo=UTC)
    ALL = Options("aws:kms", "a-key", "STANDARD_IA", "COMPLIANCE", UNTIL)

    @pytest.mark.parametrize(
        ("operation", "data"), [("PutObject", SMALL), ("CreateMultipartUpload", LARGE)], ids=["whole", "in parts"]
    )
    def test_arrive(self, cloud: Cloud, operation: str, data: bytes) -> None:
        cloud.bucket("locked", ObjectLockEnabledForBucket=True)
        Bucket(cloud.session().api("s3"), "locked", "", self.ALL).put("key", [data])
        (call,) = [call for call in cloud.aws.calls if call.name == f"s3:{operation}"]
        assert call.parameters["x-amz-server-side-encryption"] == "aws:kms"
        assert call.parameters["x-amz-server-side-encryption-aws-kms-key-id"] == "a-key"
        assert call.parameters["x-amz-storage-class"] == "STANDARD_IA"
        assert call.parameters["x-amz-object-lock-mode"] == "COMPLIANCE"
        assert call.parameters["x-amz-object-lock-retain-until-date"].startswith("2030-01-31T00:00:00")

    def test_that_are_not_given_are_left_to_the_bucket(self, cloud: Cloud) -> None:
        bucket(cloud).put("key", [SMALL])
        (call,) = [call for call in cloud.aws.calls if call.name == "s3:PutObject"]
        assert not [name for name in call.parameters if "encryption" in name or "storage" in name or "lock" in name]


def test_its_url_is_that_of_the_command_line(cloud: Cloud) -> None:
    api = cloud.session().api("s3")
    assert [Bucket(api, "b").url, Bucket(api, "b", "a/c").url] == ["s3://b", "s3://b/a/c"]
