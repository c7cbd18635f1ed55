"""S3 as the double plays it, asked by boto3 over HTTP: what moto believes and S3 does not."""

import base64
import hashlib
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.exceptions import ClientError

from spotwatch.simulate.strict_aws import Fault
from tests.cloud import BUCKET, Cloud

MIB = 1024 * 1024


@pytest.fixture(autouse=True)
def a_bucket(cloud: Cloud) -> str:
    return cloud.bucket()


@contextmanager
def refused(code: str) -> Iterator[None]:
    with pytest.raises(ClientError) as caught:
        yield
    assert caught.value.response["Error"]["Code"] == code


def encoded(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


def crc32(data: bytes) -> str:
    return encoded(zlib.crc32(data).to_bytes(4, "big"))


DIGESTS: dict[str, Callable[[bytes], str]] = {
    "ContentMD5": lambda data: encoded(hashlib.md5(data, usedforsecurity=False).digest()),
    "ChecksumCRC32": crc32,
    "ChecksumSHA1": lambda data: encoded(hashlib.sha1(data, usedforsecurity=False).digest()),
    "ChecksumSHA256": lambda data: encoded(hashlib.sha256(data).digest()),
}


def begin(cloud: Cloud, key: str = "key") -> dict[str, Any]:
    begun = cloud.s3.create_multipart_upload(
        Bucket=BUCKET, Key=key, ChecksumAlgorithm="CRC32", ChecksumType="FULL_OBJECT"
    )
    return {"Bucket": BUCKET, "Key": key, "UploadId": begun["UploadId"]}


def send(cloud: Cloud, upload: dict[str, Any], number: int, data: bytes) -> dict[str, Any]:
    told = cloud.s3.upload_part(**upload, PartNumber=number, Body=data, ChecksumCRC32=crc32(data))
    return {"PartNumber": number, "ETag": told["ETag"], "ChecksumCRC32": crc32(data)}


class TestChecksums:
    @pytest.mark.parametrize("name", DIGESTS)
    def test_of_an_object_that_fit_are_taken(self, cloud: Cloud, name: str) -> None:
        cloud.s3.put_object(Bucket=BUCKET, Key="key", Body=b"abc", **{name: DIGESTS[name](b"abc")})
        assert cloud.s3.get_object(Bucket=BUCKET, Key="key")["Body"].read() == b"abc"

    @pytest.mark.parametrize("name", DIGESTS)
    def test_of_an_object_that_do_not_fit_are_refused_with_bad_digest(self, cloud: Cloud, name: str) -> None:
        with refused("BadDigest"):
            cloud.s3.put_object(Bucket=BUCKET, Key="key", Body=b"abc", **{name: DIGESTS[name](b"abd")})
        with refused("404"):
            cloud.s3.head_object(Bucket=BUCKET, Key="key")

    def test_that_are_none_are_refused_with_invalid_digest(self, cloud: Cloud) -> None:
        with refused("InvalidDigest"):
            cloud.s3.put_object(Bucket=BUCKET, Key="key", Body=b"abc", ContentMD5="no base64")

    @pytest.mark.parametrize("name", DIGESTS)
    def test_of_a_part_that_do_not_fit_are_refused_with_bad_digest(self, cloud: Cloud, name: str) -> None:
        with refused("BadDigest"):
            cloud.s3.upload_part(**begin(cloud), PartNumber=1, Body=b"abc", **{name: DIGESTS[name](b"abd")})

    def test_of_the_whole_of_an_upload_that_does_not_fit_is_refused_with_bad_digest(self, cloud: Cloud) -> None:
        upload = begin(cloud)
        parts = [send(cloud, upload, 1, bytes(5 * MIB)), send(cloud, upload, 2, b"abc")]
        with refused("BadDigest"):
            complete(cloud, upload, parts, crc32(bytes(5 * MIB) + b"abd"))
        complete(cloud, upload, parts, crc32(bytes(5 * MIB) + b"abc"))

    def test_of_a_named_part_that_does_not_fit_is_an_invalid_part(self, cloud: Cloud) -> None:
        upload = begin(cloud)
        part = send(cloud, upload, 1, b"abc")
        with refused("InvalidPart"):
            complete(cloud, upload, [{**part, "ChecksumCRC32": crc32(b"abd")}], crc32(b"abc"))

    def test_of_what_is_signed_are_looked_at_where_there_is_no_other(
        self, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_REQUEST_CHECKSUM_CALCULATION", "when_required")
        cloud.aws.plan(Fault.ALTERED, "s3:PutObject")
        with refused("XAmzContentSHA256Mismatch"):
            cloud.client("s3").put_object(Bucket=BUCKET, Key="key", Body=b"abc")

    def test_that_boto3_computes_by_itself_are_taken(self, cloud: Cloud) -> None:
        cloud.s3.put_object(Bucket=BUCKET, Key="key", Body=b"abc")


class TestConditions:
    def test_of_eight_that_store_one_object_at_once_one_wins(self, cloud: Cloud) -> None:
        def put(number: int) -> int | str:
            try:
                cloud.s3.put_object(Bucket=BUCKET, Key="key", Body=b"%d" % number, IfNoneMatch="*")
            except ClientError as error:
                return str(error.response["Error"]["Code"])
            return number

        with ThreadPoolExecutor(8) as racers:
            results = list(racers.map(put, range(8)))
        (winner,) = [result for result in results if isinstance(result, int)]
        assert results.count("PreconditionFailed") == 7
        assert cloud.s3.get_object(Bucket=BUCKET, Key="key")["Body"].read() == b"%d" % winner

    def test_hold_at_the_end_of_a_multipart_upload(self, cloud: Cloud) -> None:
        first, second = begin(cloud), begin(cloud)
        complete(cloud, first, [send(cloud, first, 1, b"one")], crc32(b"one"))
        with refused("PreconditionFailed"):
            complete(cloud, second, [send(cloud, second, 1, b"two")], crc32(b"two"))
        assert cloud.s3.get_object(Bucket=BUCKET, Key="key")["Body"].read() == b"one"


class TestUploads:
    def test_are_listed_in_pages(self, cloud: Cloud) -> None:
        uploads = {begin(cloud, f"logs/{number % 3}")["UploadId"] for number in range(7)}
        begin(cloud, "other")
        pages = list(upload_pages(cloud, Prefix="logs/", MaxUploads=3))
        assert [len(page) for page in pages] == [3, 3, 1]
        assert {upload["UploadId"] for page in pages for upload in page} == uploads

    def test_are_listed_in_shorter_pages_than_asked_for(self, cloud: Cloud) -> None:
        for _ in range(3):
            begin(cloud)
        cloud.aws.world.page = 2
        assert [len(page) for page in upload_pages(cloud)] == [2, 1]

    def test_have_parts_of_5_mib_at_least_but_for_the_last(self, cloud: Cloud) -> None:
        upload = begin(cloud)
        parts = [send(cloud, upload, 1, bytes(5 * MIB - 1)), send(cloud, upload, 2, b"abc")]
        with refused("EntityTooSmall"):
            complete(cloud, upload, parts, crc32(bytes(5 * MIB - 1) + b"abc"))

    def test_that_are_aborted_can_not_be_completed(self, cloud: Cloud) -> None:
        upload = begin(cloud)
        part = send(cloud, upload, 1, b"abc")
        cloud.s3.abort_multipart_upload(**upload)
        with refused("NoSuchUpload"):
            complete(cloud, upload, [part], crc32(b"abc"))


class TestListing:
    def test_objects_come_in_pages(self, cloud: Cloud) -> None:
        for number in range(5):
            cloud.s3.put_object(Bucket=BUCKET, Key=f"{number}", Body=b"")
        first = cloud.s3.list_objects_v2(Bucket=BUCKET, MaxKeys=3)
        second = cloud.s3.list_objects_v2(Bucket=BUCKET, ContinuationToken=first["NextContinuationToken"])
        assert [found["Key"] for found in first["Contents"] + second["Contents"]] == ["0", "1", "2", "3", "4"]


def complete(cloud: Cloud, upload: dict[str, Any], parts: list[dict[str, Any]], whole: str) -> None:
    cloud.s3.complete_multipart_upload(
        **upload, MultipartUpload={"Parts": parts}, IfNoneMatch="*", ChecksumCRC32=whole, ChecksumType="FULL_OBJECT"
    )


def upload_pages(cloud: Cloud, **parameters: Any) -> Iterator[list[Any]]:
    markers: dict[str, str] = {}
    while True:
        page = cloud.s3.list_multipart_uploads(Bucket=BUCKET, **parameters, **markers)
        yield page.get("Uploads", [])
        if not page["IsTruncated"]:
            return
        markers = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}
