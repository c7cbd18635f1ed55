"""Every call that the batch job makes, to EC2 and S3, goes wrong in every way: nothing is lost, nothing is there twice.

The job and the destination are the real ones; a directory stands for the file system of a volume.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from random import Random
from unittest.mock import patch

import moto.s3.models
import pytest

from spotwatch.aws import s3
from spotwatch.aws.s3 import Bucket
from spotwatch.aws.session import Session
from spotwatch.aws.volumes import Volumes
from spotwatch.cli.destinations import Keeping
from spotwatch.cli.ship import reader
from spotwatch.cli.ship.host import ThisHost
from spotwatch.cli.ship.order import Order
from spotwatch.cli.ship.shipper import WorkerShipper
from spotwatch.cli.ship.view import Told
from spotwatch.core.errors import AwsDenied
from spotwatch.core.settings import Hints, ObjectLayout
from spotwatch.core.volume import Volume
from spotwatch.host.clock import Clock
from spotwatch.ship.batch import Batch
from spotwatch.ship.job import Ending, Job, Outcome, Verdict
from spotwatch.ship.manifest import Manifest
from spotwatch.ship.reading import contents, latest_manifests, shipped_files
from spotwatch.simulate.strict_aws import Fault
from tests.cloud import BUCKET, ZONE, Cloud
from tests.ship.leftovers import label

pytestmark = pytest.mark.slow

PART_BYTES = 32 * 1024
"""Of an upload here, so that there are several parts."""

LINES = b"".join(b"%06d %s\n" % (number, Random(number).randbytes(40).hex().encode()) for number in range(2000))

PASSING = (Fault.THROTTLED, Fault.BROKEN, Fault.RESET, Fault.LOST, Fault.CUT, Fault.NONSENSE)
"""What happens to a call once; the same call is tried again then."""

SPARED = frozenset({"s3:ListMultipartUploads", "s3:AbortMultipartUpload"})
"""Whoever may not call these leaves dead uploads to the bucket's lifecycle rules."""


class Host(ThisHost):
    """This machine, on which a directory appears where a device should."""

    def __init__(self, instance_id: str, claims: Path, directories: Path) -> None:
        super().__init__(instance_id, str(claims))
        self._directories = directories

    def device(self, volume: Volume) -> str:
        return str(self._directories / volume.id)


class InProcess(WorkerShipper):
    """Reads directories itself."""

    def read(self, order: Order, *, renew: Callable[[], None] = lambda: None) -> Manifest:
        renew()
        return reader.read(replace(order, device="", directory=order.device), self.destination, lambda _: None)


class Nobody:
    """Looks at no progress."""

    @contextmanager
    def volume(self, _: str) -> Iterator[Told]:
        yield lambda _: None


class Account:
    """A bucket, an instance that ships, and leftovers of another."""

    def __init__(self, cloud: Cloud, directory: Path) -> None:
        self.aws = cloud.aws
        self._cloud, self._directory = cloud, directory
        self._instance = cloud.instance()
        cloud.bucket()

    def leftover(self) -> str:
        volume = self._cloud.volume(tags=label().to_tags())
        (self._directory / "volumes" / volume).mkdir(parents=True)
        (self._directory / "volumes" / volume / "app.log").write_bytes(LINES)
        return volume

    def ship(self, volume: str) -> Outcome:
        """One run of the batch job over all that there is."""
        host = Host(self._instance, self._directory / "claims", self._directory / "volumes")
        ec2 = Volumes(Session(self._cloud.clock, patience=300).api("ec2"))
        order = Order(
            to=f"s3://{BUCKET}", kept=Keeping(), read_positions=Hints.SHIP, unproven_positions=Hints.SHIP,
            objects=ObjectLayout.BUNDLES, scratch=str(self._directory), workers=1, time_limit=60,
        )  # fmt: skip
        shipper = InProcess(order, Nobody())
        shipper.destination = self._bucket()
        job = Job(ec2, host, shipper, Ending())
        outcomes = Batch(ec2, host, job, most=1, wait=self._cloud.clock.sleep).run(ZONE)
        return next(outcome for outcome in outcomes if outcome.volume == volume)

    def is_there(self, volume: str) -> bool:
        return bool(self._cloud.ec2.describe_volumes(Filters=[{"Name": "volume-id", "Values": [volume]}])["Volumes"])

    def is_attached(self, volume: str) -> bool:
        return self._cloud.attachment(volume) != ""

    def shipped(self, volume: str) -> bytes:
        bucket = self._bucket()
        (manifest,) = (manifest for _, manifest in latest_manifests(bucket) if manifest.volume == volume)
        stored = {told.key for told in bucket.below("") if f"/{volume}/" in told.key and "manifest" not in told.key}
        assert stored == {told.key for told in manifest.objects}, "something is there twice"
        return b"".join(piece.data for piece in contents(bucket, shipped_files(manifest)))

    def uploads(self) -> list[str]:
        return [told["Key"] for told in self._cloud.s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads", ())]

    def _bucket(self) -> Bucket:
        return Bucket(Session(Clock(), patience=60).api("s3"), BUCKET)


@pytest.fixture
def account(cloud: Cloud, tmp_path: Path) -> Iterator[Account]:
    with patch.object(s3, "PART_BYTES", PART_BYTES), patch.object(moto.s3.models, "S3_UPLOAD_PART_MIN_SIZE", 1):
        yield Account(cloud, tmp_path)


@pytest.fixture
def operations(account: Account) -> list[str]:
    """What the shipment of one volume calls."""
    volume = account.leftover()
    account.aws.calls.clear()
    assert account.ship(volume).verdict is Verdict.DELETED
    return sorted({call.name for call in account.aws.calls})


def test_a_shipment_calls_all_that_it_is_said_to_need(operations: list[str]) -> None:
    assert set(operations) >= {
        "ec2:AttachVolume", "ec2:CreateTags", "ec2:DeleteVolume", "ec2:DescribeInstances", "ec2:DescribeInstanceTypes",
        "ec2:DescribeVolumes", "ec2:DetachVolume", "s3:CompleteMultipartUpload", "s3:CreateMultipartUpload",
        "s3:GetObject", "s3:HeadObject", "s3:ListMultipartUploads", "s3:ListObjectsV2", "s3:PutObject", "s3:UploadPart",
    }  # fmt: skip


@pytest.mark.parametrize("fault", PASSING)
def test_a_fault_of_every_call_that_passes_is_outlasted(account: Account, operations: list[str], fault: Fault) -> None:
    volume = account.leftover()
    for operation in operations:
        account.aws.plan(fault, operation)
    outcome = account.ship(volume)
    assert outcome.verdict is Verdict.DELETED, outcome
    assert account.shipped(volume) == LINES
    assert account.uploads() == []


@pytest.mark.parametrize("operation", ["s3:PutObject", "s3:UploadPart"])
def test_a_body_that_arrives_altered_is_sent_again(account: Account, operation: str) -> None:
    volume = account.leftover()
    account.aws.plan(Fault.ALTERED, operation)
    assert account.ship(volume).verdict is Verdict.DELETED
    assert account.shipped(volume) == LINES


def test_where_any_call_is_denied_the_iam_action_is_named_and_the_volume_left_for_later(
    account: Account, operations: list[str]
) -> None:
    for operation in operations:
        volume = account.leftover()
        account.aws.plan(Fault.DENIED, operation, times=10_000)
        told = _refusal(account, volume)
        account.aws.forgive()
        if operation in SPARED:
            assert told == "", operation
        else:
            assert "IAM action" in told, operation
            assert account.is_there(volume), operation
            assert operation == "ec2:DetachVolume" or not account.is_attached(volume), operation
            assert account.ship(volume).verdict is Verdict.DELETED, operation
        assert account.shipped(volume) == LINES, operation


def _refusal(account: Account, volume: str) -> str:
    """The hint; empty if it is shipped all the same."""
    try:
        outcome = account.ship(volume)
    except AwsDenied as error:
        return error.hint
    return "" if outcome.verdict is Verdict.DELETED else outcome.hint


def test_a_bucket_without_room_is_told_and_the_volume_left_for_later(account: Account) -> None:
    for operation in ("s3:PutObject", "s3:UploadPart", "s3:CreateMultipartUpload", "s3:CompleteMultipartUpload"):
        volume = account.leftover()
        account.aws.plan(Fault.FULL, operation, times=10_000)
        outcome = account.ship(volume)
        account.aws.forgive()
        assert (outcome.verdict, "make room" in outcome.hint) == (Verdict.FAILED, True), operation
        assert not account.is_attached(volume)
        assert account.uploads() == [], operation
        assert account.ship(volume).verdict is Verdict.DELETED
        assert account.shipped(volume) == LINES
