"""Shipped to S3 and read back from there: the strict double behind the real commands."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from spotwatch.simulate.strict_aws import Fault
from tests.cli.conftest import command_line, environment
from tests.cloud import BUCKET, Cloud, cloud, manual_clock

pytestmark = pytest.mark.slow

__all__ = ["cloud", "manual_clock"]

URL = f"s3://{BUCKET}/logs/spot"
Run = Callable[..., "subprocess.CompletedProcess[bytes]"]


@pytest.fixture
def run(tmp_path: Path, cloud: Cloud) -> Run:
    (tmp_path / "v").mkdir()
    (tmp_path / "v" / "app.log").write_bytes(b"one\ntwo\n")
    cloud.bucket()

    def spotwatch(*words: str) -> "subprocess.CompletedProcess[bytes]":
        given = ("--directory", str(tmp_path / "v"), "--volume-id", "vol-1") if words[0] == "ship" else ()
        argv = command_line(words[0], *words[1:2] * (words[0] == "logs"), *given, *words[1 + (words[0] == "logs") :])
        return subprocess.run(argv, env=environment(tmp_path), capture_output=True, timeout=60, check=False)

    return spotwatch


def test_what_is_shipped_comes_back(run: Run, cloud: Cloud) -> None:
    assert run("ship", "--to", URL).returncode == 0
    assert run("logs", "cat", "--from", URL, "--all").stdout == b"one\ntwo\n"
    keys = [told["Key"] for told in cloud.s3.list_objects_v2(Bucket=BUCKET)["Contents"]]
    assert all(key.startswith("logs/spot/") for key in keys)


def test_objects_are_kept_as_ordered(run: Run, cloud: Cloud) -> None:
    run("ship", "--to", URL, "--sse", "AES256", "--storage-class", "STANDARD_IA")
    for told in cloud.s3.list_objects_v2(Bucket=BUCKET)["Contents"]:
        head = cloud.s3.head_object(Bucket=BUCKET, Key=told["Key"])
        assert (head["StorageClass"], head["ServerSideEncryption"]) == ("STANDARD_IA", "AES256")


def test_an_endpoint_on_the_command_line_is_asked(run: Run, cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    assert run("ship", "--to", URL, "--endpoint-url", cloud.aws.url).returncode == 0
    assert run("logs", "cat", "--from", URL, "--all", "--endpoint-url", cloud.aws.url).stdout == b"one\ntwo\n"


def test_what_is_refused_is_77_with_the_action(run: Run, cloud: Cloud) -> None:
    cloud.aws.plan(Fault.DENIED, "s3:PutObject", times=9)
    ended = run("ship", "--to", URL)
    assert ended.returncode == 77
    assert b"hint: allow the IAM action s3:PutObject" in ended.stderr


def test_a_bucket_that_is_missing_is_69(run: Run) -> None:
    assert run("ship", "--to", "s3://no-such-bucket/x").returncode == 69


def test_throttling_and_a_broken_answer_are_waited_out(run: Run, cloud: Cloud) -> None:
    cloud.aws.plan(Fault.THROTTLED, "s3:PutObject")
    cloud.aws.plan(Fault.LOST, "s3:PutObject")
    assert run("ship", "--to", URL).returncode == 0
    assert run("logs", "cat", "--from", URL, "--all").stdout == b"one\ntwo\n"


def test_a_dry_run_asks_s3_for_nothing(run: Run, cloud: Cloud) -> None:
    before = len(cloud.aws.calls)
    assert run("ship", "--to", URL, "--dry-run").returncode == 0
    assert len(cloud.aws.calls) == before
