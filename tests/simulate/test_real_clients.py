"""Clients that we did not write take the fake metadata service for the real one."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import urllib3
from botocore.session import Session
from botocore.utils import (
    InstanceMetadataFetcher,
    InstanceMetadataRegionFetcher,
)
from ec2_metadata import EC2Metadata

import spotwatch
from spotwatch.simulate.faults import Status
from spotwatch.simulate.instance import Instance
from spotwatch.simulate.service import TOKEN_PATH, MetadataService

INSTANCE = Instance(
    instance_id="i-00000000000c0ffee",
    instance_type="m7g.large",
    region="eu-west-1",
    availability_zone="eu-west-1b",
    user_data="#!/bin/sh\n",
)
AVAILABILITY_ZONE = "/latest/meta-data/placement/availability-zone/"


@pytest.fixture
def service() -> Iterator[MetadataService]:
    with MetadataService(INSTANCE) as service:
        yield service


@pytest.fixture(autouse=True)
def environment(service: MetadataService, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing but the service can tell a client its region or its credentials."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "BOTO")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", service.url)


def run(*command: str, **environment: str) -> str:
    done = subprocess.run(
        command,
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def asked(service: MetadataService) -> list[tuple[str, str, int | None]]:
    return [(request.method, request.path, request.status) for request in service.requests]


class TestBotocore:
    def test_a_session_gets_the_credentials_of_the_role(self, service: MetadataService) -> None:
        credentials = Session().get_credentials()
        assert credentials.method == "iam-role"
        assert credentials.access_key == "ASIAFAKEFAKEFAKEFAKE"
        assert not credentials.refresh_needed()
        assert asked(service) == [
            ("PUT", TOKEN_PATH, 200),
            ("GET", "/latest/meta-data/iam/security-credentials/", 200),
            ("GET", "/latest/meta-data/iam/security-credentials/spot-fleet-role", 200),
        ]

    def test_the_region_follows_from_the_availability_zone(self, service: MetadataService) -> None:
        fetcher = InstanceMetadataRegionFetcher(base_url=service.url)
        assert fetcher.retrieve_region() == "eu-west-1"
        assert asked(service)[-1] == ("GET", AVAILABILITY_ZONE, 200)

    def test_metadata_that_is_turned_off_means_no_credentials(self, service: MetadataService) -> None:
        service.trouble(Status(403))
        assert Session().get_credentials() is None
        assert set(service.statuses) == {403}

    def test_beyond_the_hop_limit_botocore_falls_back_to_version_1(self) -> None:
        """Which hides the trouble; without version 1 there are no credentials."""
        for imdsv1 in (True, False):
            with MetadataService(imdsv1=imdsv1, hop_limit_exceeded=True) as far:
                fetcher = InstanceMetadataFetcher(base_url=far.url, timeout=0.1)
                assert bool(fetcher.retrieve_iam_role_credentials()) is imdsv1


class TestEC2Metadata:
    @pytest.fixture
    def metadata(self, service: MetadataService) -> Iterator[EC2Metadata]:
        with urllib3.PoolManager() as pool:
            metadata = EC2Metadata(pool_manager=pool)
            metadata.service_url = f"{service.url}/latest/"
            metadata.dynamic_url = f"{metadata.service_url}dynamic/"
            metadata.metadata_url = f"{metadata.service_url}meta-data/"
            metadata.userdata_url = f"{metadata.service_url}user-data/"
            yield metadata

    def test_it_reads_who_and_where_the_instance_is(self, metadata: EC2Metadata) -> None:
        assert metadata.instance_id == INSTANCE.instance_id
        assert metadata.instance_type == INSTANCE.instance_type
        assert metadata.instance_life_cycle == "spot"
        assert metadata.account_id == INSTANCE.account_id
        assert metadata.region == INSTANCE.region
        assert metadata.availability_zone == INSTANCE.availability_zone
        assert metadata.availability_zone_id == INSTANCE.availability_zone_id
        assert metadata.private_ipv4 == INSTANCE.private_ipv4
        assert metadata.private_hostname == INSTANCE.hostname
        assert metadata.partition == "aws"
        assert metadata.user_data == b"#!/bin/sh\n"

    def test_it_walks_through_directories(self, metadata: EC2Metadata) -> None:
        interface = metadata.network_interfaces[INSTANCE.mac]
        assert interface.vpc_id == INSTANCE.vpc_id
        assert interface.private_ipv4s == [INSTANCE.private_ipv4]
        assert metadata.public_keys["mykey"].openssh_key == INSTANCE.public_key
        assert dict(metadata.tags) == INSTANCE.tags
        assert metadata.instance_profile_name == INSTANCE.role

    def test_it_takes_what_the_instance_does_not_have_for_none(self, metadata: EC2Metadata) -> None:
        assert metadata.public_ipv4 is None
        assert metadata.kernel_id is None
        assert metadata.network_interfaces[INSTANCE.mac].ipv6s == []

    def test_it_sees_the_interruption_notice_come(self, service: MetadataService, metadata: EC2Metadata) -> None:
        assert metadata.spot_instance_action is None
        service.interrupt("stop", datetime(2026, 11, 22, 8, 22, tzinfo=UTC))
        notice = metadata.spot_instance_action
        assert notice is not None
        assert (notice.action, notice.time.isoformat()) == ("stop", "2026-11-22T08:22:00+00:00")


class TestAWSCLI:
    def aws(self, *arguments: str, **environment: str) -> str:
        return run(sys.executable, "-m", "awscli", *arguments, **environment)

    def test_it_has_the_credentials_of_the_role(self, service: MetadataService) -> None:
        configuration = self.aws("configure", "list")
        assert service.statuses == {200: 3}
        assert configuration.count("iam-role") == 2  # access key and secret key
        assert "****FAKE" in configuration

    def test_it_looks_the_region_up_when_it_is_to_choose_its_defaults(self, service: MetadataService) -> None:
        url = self.aws("s3", "presign", "s3://bucket/key", AWS_DEFAULTS_MODE="auto")
        assert "ASIAFAKEFAKEFAKEFAKE" in url
        assert ("GET", AVAILABILITY_ZONE, 200) in asked(service)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
class TestCurl:
    def curl(self, *arguments: str) -> str:
        return run("curl", "-q", "--silent", "--show-error", "--fail", "--max-time", "5", *arguments)

    def test_the_two_commands_of_the_user_guide_work(self, service: MetadataService) -> None:
        """EC2 user guide, "Access instance metadata for an EC2 instance"."""
        ttl = "X-aws-ec2-metadata-token-ttl-seconds: 21600"
        token = self.curl("-X", "PUT", f"{service.url}{TOKEN_PATH}", "-H", ttl)
        header = f"X-aws-ec2-metadata-token: {token}"
        listing = self.curl("-H", header, f"{service.url}/latest/meta-data/")
        assert "instance-life-cycle" in listing.splitlines()


AT_THE_REAL_ADDRESS = """
from ec2_metadata import ec2_metadata
from spotwatch.simulate.service import MetadataService

with MetadataService(host="169.254.169.254", port=80):
    print(ec2_metadata.instance_id)
"""


@pytest.fixture
def namespace() -> Iterator[str]:
    """A network namespace in which the metadata service's own address is free to take."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("needs root and iproute2 for a network namespace")
    name = f"spotwatch-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    if made.returncode != 0:
        pytest.skip(f"no network namespace can be made here: {made.stderr.strip()}")
    try:
        run("ip", "-n", name, "link", "set", "lo", "up")
        run("ip", "-n", name, "addr", "add", "169.254.169.254/32", "dev", "lo")
        yield name
    finally:
        run("ip", "netns", "del", name)


@pytest.mark.root
def test_a_client_that_knows_only_the_real_address_finds_the_service_there(namespace: str) -> None:
    source = str(Path(spotwatch.__file__).parents[1])
    in_namespace = ("ip", "netns", "exec", namespace, sys.executable, "-c", AT_THE_REAL_ADDRESS)
    assert run(*in_namespace, PYTHONPATH=source).strip() == Instance().instance_id
