"""S3, and servers that speak its language, as a destination of shipped objects.

What this survives:

- Two that store one object: both the single request and the end of a multipart upload say `If-None-Match: *`.
- A request that was carried out although its answer got lost: it is found to be there, as if another had stored it.
- A part that is damaged on its way: each goes with its CRC-32, and the signature covers its SHA-256 (`Session` sees to
  that), which servers check that know no CRC; and is sent again.
- A connection that breaks while an object is read: it is read in ranges, and only the broken one is asked for again.
- Uploads that a dead process has begun: they are aborted before the object is begun anew, as nobody else would.
"""

import base64
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from isal.isal_zlib import crc32

from spotwatch.aws.session import Api
from spotwatch.core.errors import (
    AwsConflict,
    AwsDenied,
    AwsError,
    AwsNotFound,
    AwsRefused,
    DestinationDenied,
    DestinationError,
    DestinationFull,
)
from spotwatch.core.stored import Stored

PART_BYTES: Final = 5 * 1024 * 1024
"""Of one part, and of one range that is read. S3 wants parts of 5 MiB to 5 GiB, 10,000 of them at most, which is 50 GB
with these: more than a bundle ever is. Several are in memory: with 8 MiB it is 25 MB more, for 1 % of the CPU time."""

SENDERS: Final = 2
"""Parts on their way at a time: with compressed logs the CPU is busy long before the network is."""

SENT_AT_MOST: Final = 4
"""Times that one part is sent, if it always arrives damaged: then it is no accident."""

_DAMAGED: Final = frozenset({"BadDigest", "XAmzContentChecksumMismatch", "XAmzContentSHA256Mismatch"})
"""S3's words for a body that is not what its checksums say (S3 API reference, "Error responses")."""

_FULL: Final = frozenset({"QuotaExceeded", "InsufficientStorage", "ServiceQuotaExceededException", "XMinioStorageFull"})
"""What servers other than AWS answer when there is no room."""


@dataclass(frozen=True, slots=True)
class Options:
    """How objects are kept; an empty value leaves it to the bucket.

    Attributes:
        encryption: `AES256` (SSE-S3), `aws:kms` or `aws:kms:dsse`.
        kms_key: the key's id or ARN, for the latter two.
        storage_class: such as `STANDARD_IA`.
        lock_mode: `GOVERNANCE` or `COMPLIANCE` (Object Lock).
        lock_until: until when, with a lock mode.
    """

    encryption: str = ""
    kms_key: str = ""
    storage_class: str = ""
    lock_mode: str = ""
    lock_until: datetime | None = None

    def parameters(self) -> dict[str, Any]:
        """What PutObject and CreateMultipartUpload are given."""
        told = {
            "ServerSideEncryption": self.encryption,
            "SSEKMSKeyId": self.kms_key,
            "StorageClass": self.storage_class,
            "ObjectLockMode": self.lock_mode,
            "ObjectLockRetainUntilDate": self.lock_until,
        }
        return {name: value for name, value in told.items() if value}


class Bucket:
    """Objects below a prefix of a bucket; implements `spotwatch.ship.destination.Destination`."""

    def __init__(self, s3: Api, bucket: str, prefix: str = "", options: Options = Options()) -> None:
        """Nothing is asked yet.

        Args:
            s3: the API.
            bucket: its name.
            prefix: what all keys begin with there, without a slash at its ends.
            options: how objects are kept.
        """
        self._s3 = s3
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._options = options

    @property
    def url(self) -> str:
        """As on the command line."""
        return f"s3://{self._bucket}/{self._prefix}".rstrip("/")

    def put(self, key: str, chunks: Iterable[bytes]) -> bool:
        """See `Destination.put`."""
        if self.find(key) is not None:
            return False
        parts = _parts(chunks)
        first = next(parts, b"")
        try:
            if len(first) < PART_BYTES:
                return self._put_whole(key, first)
            return self._put_in_parts(key, first, parts)
        except AwsError as error:
            raise _refused(self.url, key, error) from error

    def find(self, key: str) -> Stored | None:
        """See `Destination.find`."""
        try:
            told = self._s3.call("HeadObject", Bucket=self._bucket, Key=self._prefix + key)
        except AwsNotFound:
            return None
        except AwsDenied as error:
            error.hint += "; without s3:ListBucket an object that is missing looks forbidden, too"
            raise _refused(self.url, key, error) from error
        except AwsError as error:
            raise _refused(self.url, key, error) from error
        return Stored(key, told["ContentLength"])

    def below(self, prefix: str) -> Iterator[Stored]:
        """See `Destination.below`."""
        whole, token = self._prefix + prefix, ""
        while True:
            following = {"ContinuationToken": token} if token else {}
            try:
                page = self._s3.call("ListObjectsV2", Bucket=self._bucket, Prefix=whole, **following)
            except AwsError as error:
                raise _refused(self.url, prefix, error) from error
            for found in page.get("Contents", ()):
                yield Stored(found["Key"].removeprefix(self._prefix), found["Size"])
            token = page.get("NextContinuationToken", "")
            if not token:
                return

    def read(self, key: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """See `Destination.read`."""
        if length is None:
            found = self.find(key)
            if found is None:
                raise DestinationError(f"{self.url}/{key} is not there", hint="see what has deleted it")
            length = found.size - start
        end = start + length
        ranges = deque((begin, min(begin + PART_BYTES, end)) for begin in range(start, end, PART_BYTES))
        with ThreadPoolExecutor(1, thread_name_prefix="read") as ahead:
            coming = ahead.submit(self._read_range, key, *ranges.popleft()) if ranges else None
            while coming is not None:
                data = coming.result()
                coming = ahead.submit(self._read_range, key, *ranges.popleft()) if ranges else None
                yield data

    def _read_range(self, key: str, start: int, end: int) -> bytes:
        def attempt() -> bytes:
            whole = self._prefix + key
            return self._s3.body("GetObject", Bucket=self._bucket, Key=whole, Range=f"bytes={start}-{end - 1}")

        try:
            data = self._s3.wait_for(attempt)
        except AwsError as error:
            raise _refused(self.url, key, error) from error
        if len(data) != end - start:
            raise DestinationError(f"{self.url}/{key} ends {end - start - len(data)} bytes too early")
        return data

    def _put_whole(self, key: str, data: bytes) -> bool:
        whole = {"Bucket": self._bucket, "Key": self._prefix + key, "IfNoneMatch": "*"}
        told = {**whole, "ChecksumAlgorithm": "CRC32", **_checksums(data), **self._options.parameters()}
        try:
            _undamaged(lambda: self._s3.call("PutObject", Body=data, **told))
        except AwsConflict:
            return self._is_not_ours(key)
        return True

    def _put_in_parts(self, key: str, first: bytes, rest: Iterator[bytes]) -> bool:
        whole = {"Bucket": self._bucket, "Key": self._prefix + key}
        upload = {**whole, "UploadId": self._s3.wait_for(lambda: self._begin(whole))}
        try:
            sent, crc = self._send(upload, first, rest)
            self._complete(key, upload, sent, crc)
        except AwsConflict:
            self._abort(upload)
            return self._is_not_ours(key)
        except BaseException:
            self._abort(upload)
            raise
        return True

    def _begin(self, whole: dict[str, Any]) -> str:
        """An upload's id. Others are given up before each attempt, also one whose id got lost with its answer."""
        self._abort_stale(whole)
        begun = self._s3.attempt(
            "CreateMultipartUpload", **whole, ChecksumAlgorithm="CRC32", ChecksumType="FULL_OBJECT",
            **self._options.parameters(),
        )  # fmt: skip
        return str(begun["UploadId"])

    def _complete(self, key: str, upload: dict[str, Any], sent: list[dict[str, Any]], crc: int) -> None:
        if self.find(key) is not None:
            raise AwsConflict(f"{key} is there already")  # some servers do not look at If-None-Match here
        completion = {"MultipartUpload": {"Parts": sent}, "ChecksumCRC32": _base64(crc), "ChecksumType": "FULL_OBJECT"}
        try:
            self._s3.call("CompleteMultipartUpload", **upload, **completion, IfNoneMatch="*")
        except AwsNotFound as error:
            if self.find(key) is None:
                raise
            raise AwsConflict(f"{key} is there already") from error  # the upload was completed, and the answer lost

    def _send(self, upload: dict[str, Any], first: bytes, rest: Iterator[bytes]) -> tuple[list[dict[str, Any]], int]:
        """Send the parts, a few at a time; what completes the upload, and the CRC-32 of the whole."""
        sent: list[dict[str, Any]] = []
        going: deque[Future[dict[str, Any]]] = deque()
        crc, number, part = 0, 0, first
        with ThreadPoolExecutor(SENDERS, thread_name_prefix="send") as senders:
            while part:
                number, crc = number + 1, crc32(part, crc)
                going.append(senders.submit(self._send_part, upload, number, part))
                if len(going) > SENDERS:
                    sent.append(going.popleft().result())
                part = next(rest, b"")
            sent += [future.result() for future in going]
        return sent, crc

    def _send_part(self, upload: dict[str, Any], number: int, data: bytes) -> dict[str, Any]:
        checksums = _checksums(data)
        told = _undamaged(lambda: self._s3.call("UploadPart", **upload, PartNumber=number, Body=data, **checksums))
        return {"PartNumber": number, "ETag": told["ETag"], "ChecksumCRC32": checksums["ChecksumCRC32"]}

    def _abort_stale(self, whole: dict[str, Any]) -> None:
        """Whoever may not list uploads, or not at this server, leaves them to the bucket's lifecycle rules."""
        with suppress(AwsDenied, AwsRefused):
            for key, upload in self._uploads(whole["Bucket"], whole["Key"]):
                if key == whole["Key"]:
                    self._abort({**whole, "UploadId": upload})

    def _uploads(self, bucket: str, prefix: str) -> Iterator[tuple[str, str]]:
        """Key and id of each multipart upload that is going on."""
        markers: dict[str, str] = {}
        while True:
            page = self._s3.call("ListMultipartUploads", Bucket=bucket, Prefix=prefix, **markers)
            yield from ((upload["Key"], upload["UploadId"]) for upload in page.get("Uploads", ()))
            if not page.get("IsTruncated"):
                return
            markers = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}

    def _abort(self, upload: dict[str, Any]) -> None:
        """Give up an upload; what cannot be given up is left to the bucket's lifecycle rules."""
        with suppress(AwsError):
            self._s3.attempt("AbortMultipartUpload", **upload)

    def _is_not_ours(self, key: str) -> bool:
        """After a conflict: False if the object is there. A conflict without an object is a fault.

        Raises:
            DestinationError: nothing is there.
        """
        if self.find(key) is None:
            raise DestinationError(f"{self.url}/{key} is being stored by somebody else", hint="try again later")
        return False


def _parts(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The chunks in parts of `PART_BYTES`, the last one shorter."""
    held, size = list[memoryview](), 0
    for chunk in chunks:
        rest = memoryview(chunk)
        while size + len(rest) >= PART_BYTES:
            missing = PART_BYTES - size
            yield b"".join([*held, rest[:missing]])
            held, size, rest = [], 0, rest[missing:]
        held.append(rest)
        size += len(rest)
    if size:
        yield b"".join(held)


def _checksums(data: bytes) -> dict[str, str]:
    return {"ChecksumCRC32": _base64(crc32(data))}


def _base64(crc: int) -> str:
    return base64.b64encode(crc.to_bytes(4, "big")).decode()


def _undamaged(send: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Send something again that has arrived damaged, a few times."""
    for _ in range(SENT_AT_MOST - 1):
        try:
            return send()
        except AwsRefused as error:
            if error.code not in _DAMAGED:
                raise
    return send()


def _refused(url: str, key: str, error: AwsError) -> DestinationError:
    if error.code in _FULL:
        return DestinationFull(f"{url}/{key}: {error.message}", hint="make room; what was shipped before stays")
    kind = DestinationDenied if isinstance(error, AwsDenied) else DestinationError
    return kind(f"{url}/{key}: {error.message}", hint=error.hint)
