"""What S3 looks at and moto does not: checksums, the MD5 of a body, the pages of multipart listings.

Source: Amazon S3 API reference ("Checking object integrity", ListMultipartUploads, ListParts, CompleteMultipartUpload).
Checksums in trailers (`aws-chunked` bodies) are left to moto.
"""

import base64
import binascii
import hashlib
import zlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends

from spotwatch.simulate.strict_aws.requests import Call

NAMESPACE: Final = "http://s3.amazonaws.com/doc/2006-03-01/"

Refusal = tuple[int, str, str]
"""Status, code and message."""


def _crc32(data: bytes) -> bytes:
    return zlib.crc32(data).to_bytes(4, "big")


def _md5(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()


_CHECKSUMS: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    "HTTP_CONTENT_MD5": _md5,
    "HTTP_X_AMZ_CHECKSUM_CRC32": _crc32,
    "HTTP_X_AMZ_CHECKSUM_SHA1": lambda data: hashlib.sha1(data, usedforsecurity=False).digest(),
    "HTTP_X_AMZ_CHECKSUM_SHA256": lambda data: hashlib.sha256(data).digest(),
}


def refusal(call: Call, environ: Mapping[str, Any], body: bytes) -> Refusal | None:
    """Why S3 would not take a request; None if it would, as far as this layer looks."""
    if call.operation == "PutObject":
        return _refused_body(environ, body)
    if call.operation in ("UploadPart", "CompleteMultipartUpload"):
        parts = _upload(call)
        if parts is None:
            return 404, "NoSuchUpload", "The specified multipart upload does not exist."
        is_part = call.operation == "UploadPart"
        return _refused_body(environ, body) if is_part else _refused_completion(parts, environ, body)
    return None


def _refused_body(environ: Mapping[str, Any], body: bytes) -> Refusal | None:
    if "aws-chunked" in environ.get("HTTP_CONTENT_ENCODING", ""):
        return None
    for header, digest in _CHECKSUMS.items():
        told = environ.get(header)
        if told is None:
            continue
        try:
            expected = base64.b64decode(told, validate=True)
        except binascii.Error:
            return 400, "InvalidDigest", f"The {header[5:]} you specified was invalid."
        if expected != digest(body):
            return 400, "BadDigest", f"The {header[5:]} you specified did not match the calculated checksum."
    signed = environ.get("HTTP_X_AMZ_CONTENT_SHA256", "UNSIGNED-PAYLOAD")
    if not signed.startswith(("UNSIGNED", "STREAMING")) and signed != hashlib.sha256(body).hexdigest():
        return 400, "XAmzContentSHA256Mismatch", "The provided 'x-amz-content-sha256' header does not match."
    return None


def _refused_completion(parts: Mapping[int, bytes], environ: Mapping[str, Any], body: bytes) -> Refusal | None:
    """The parts that are named, with their checksums, and the checksum of the whole."""
    whole = bytearray()
    for number, checksum in _named_parts(body):
        content = parts.get(number, b"")
        if checksum and base64.b64encode(_crc32(content)).decode() != checksum:
            return 400, "InvalidPart", "One or more of the specified parts could not be found."
        whole += content
    told = environ.get("HTTP_X_AMZ_CHECKSUM_CRC32")
    if told and base64.b64encode(_crc32(bytes(whole))).decode() != told:
        return 400, "BadDigest", "The CRC32 you specified did not match the calculated checksum."
    return None


def _upload(call: Call) -> Mapping[int, bytes] | None:
    """The parts of a multipart upload; None if there is no such upload."""
    bucket: Any = s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets.get(call.parameters["Bucket"])
    upload = bucket.multiparts.get(call.parameters.get("uploadId")) if bucket else None
    return {number: part.value for number, part in upload.parts.items()} if upload else None


def _named_parts(body: bytes) -> Iterable[tuple[int, str]]:
    for part in ElementTree.fromstring(body).iter(f"{{{NAMESPACE}}}Part"):  # noqa: S314  # our own client's document
        yield int(part.findtext(f"{{{NAMESPACE}}}PartNumber", "0")), part.findtext(f"{{{NAMESPACE}}}ChecksumCRC32", "")


def listing(call: Call, page: int) -> str | None:
    """A page of ListMultipartUploads; None if moto is to answer (another operation, an unknown bucket).

    Args:
        call: the request.
        page: the most uploads of a page, whatever was asked for; 0: as asked for.
    """
    bucket: Any = s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets.get(call.parameters.get("Bucket", ""))
    if call.operation != "ListMultipartUploads" or bucket is None:
        return None
    after = (call.parameters.get("key-marker", ""), call.parameters.get("upload-id-marker", ""))
    most = min(int(call.parameters.get("max-uploads", 1000)), page or 1000)
    found = sorted((upload.key_name, upload.id) for upload in bucket.multiparts.values())
    prefix = call.parameters.get("prefix", "")
    rest = [entry for entry in found if entry[0].startswith(prefix) and _follows(entry, after)]
    return _uploads_document(call.parameters["Bucket"], rest[:most], truncated=len(rest) > most)


def _follows(entry: tuple[str, str], after: tuple[str, str]) -> bool:
    """Without an upload's marker a page begins after the marked key."""
    return entry > after if after[1] else entry[0] > after[0]


def _uploads_document(bucket: str, uploads: list[tuple[str, str]], *, truncated: bool) -> str:
    entries = "".join(
        f"<Upload><Key>{escape(key)}</Key><UploadId>{upload}</UploadId>"
        "<Initiated>2010-11-10T20:48:33.000Z</Initiated><StorageClass>STANDARD</StorageClass></Upload>"
        for key, upload in uploads
    )
    following = ""
    if truncated:
        key, upload = uploads[-1]
        following = f"<NextKeyMarker>{escape(key)}</NextKeyMarker><NextUploadIdMarker>{upload}</NextUploadIdMarker>"
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><ListMultipartUploadsResult xmlns="{NAMESPACE}">'
        f"<Bucket>{bucket}</Bucket><IsTruncated>{str(truncated).lower()}</IsTruncated>{following}{entries}"
        "</ListMultipartUploadsResult>"
    )
