"""From the URL of a destination to whoever keeps objects there, and the words that say how they are kept."""

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from spotwatch.core.errors import UsageError
from spotwatch.core.reading import read_destination
from spotwatch.core.settings import Encryption, ShipSettings
from spotwatch.host.clock import Clock
from spotwatch.ship.destination import Destination, Directory

PATIENCE: Final = 300.0
"""Seconds that one request is tried for: longer than AWS's troubles usually last, and the next run goes on anyhow."""


@dataclass(frozen=True, slots=True)
class Keeping:
    """How a bucket keeps objects, and where it is asked; the fields of `spotwatch.aws.s3.Options`, and the endpoint."""

    encryption: str = ""
    kms_key: str = ""
    storage_class: str = ""
    lock_mode: str = ""
    lock_until: datetime | None = None
    endpoint: str = ""


def add_keeping_options(parser: ArgumentParser) -> None:
    """Declare the words for S3."""
    group = parser.add_argument_group("how S3 keeps the objects (default: as the bucket says)")
    group.add_argument("--sse", metavar="WORD", choices=[*Encryption], help="AES256, aws:kms or aws:kms:dsse")
    group.add_argument("--kms-key", metavar="KEY", help="the id or ARN of the KMS key")
    group.add_argument("--storage-class", metavar="CLASS", help="such as STANDARD_IA")
    group.add_argument("--object-lock-mode", metavar="MODE", choices=["GOVERNANCE", "COMPLIANCE"])
    group.add_argument("--object-lock-until", metavar="TIME", type=moment, help="such as 2027-01-31T00:00:00Z")
    add_endpoint_option(parser)


def add_endpoint_option(parser: ArgumentParser) -> None:
    """Declare ``--endpoint-url``."""
    parser.add_argument(
        "--endpoint-url",
        metavar="URL",
        default="",
        help="where S3 is asked (also AWS_ENDPOINT_URL, AWS_ENDPOINT_URL_S3)",
    )


def keeping(arguments: Namespace, settings: ShipSettings) -> Keeping:
    """What the command line says, and the settings where it says nothing.

    Raises:
        UsageError: a lock without its end, or an end without its lock.
    """
    if (arguments.object_lock_mode is None) != (arguments.object_lock_until is None):
        raise UsageError("--object-lock-mode and --object-lock-until go together", hint="give both, or neither")
    return Keeping(
        arguments.sse or settings.encryption,
        arguments.kms_key or settings.kms_key,
        arguments.storage_class or settings.storage_class,
        arguments.object_lock_mode or "",
        arguments.object_lock_until,
        arguments.endpoint_url,
    )


def destination(url: str, kept: Keeping) -> Destination:
    """Who keeps objects at a URL; nothing is asked or made yet.

    Raises:
        UsageError: it is none, or what it needs is not installed.
        AwsRefused: AWS is not configured.
    """
    try:
        parts = urlsplit(read_destination(url))
    except ValueError as error:
        raise UsageError(str(error)) from None
    if parts.scheme == "file":
        return Directory(Path(unquote(parts.path)))
    return _bucket(parts.netloc, unquote(parts.path).strip("/"), kept)


def _bucket(name: str, prefix: str, kept: Keeping) -> Destination:
    try:
        from spotwatch.aws.s3 import Bucket, Options
        from spotwatch.aws.session import Session
    except ImportError as error:
        what = f"S3 needs the package {error.name}"
        raise UsageError(what, hint="install the extra: pip install '.[ship]'") from None
    s3 = Session(Clock(), patience=PATIENCE).api("s3", endpoint=kept.endpoint or None)
    options = Options(kept.encryption, kept.kms_key, kept.storage_class, kept.lock_mode, kept.lock_until)
    return Bucket(s3, name, prefix, options)


def moment(text: str) -> datetime:
    """A time on the command line, RFC 3339; without an offset it is UTC.

    Raises:
        ArgumentTypeError: it is none.
    """
    try:
        time = datetime.fromisoformat(text.strip())
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ArgumentTypeError(f'"{text}" is no time; write one such as 2026-11-22T08:20:00Z') from None
