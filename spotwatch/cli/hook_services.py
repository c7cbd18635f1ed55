"""What built-in hooks work with, each part made when a hook asks for it: AWS's client takes longer than most hooks."""

import math
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING

from spotwatch.cli.extras import install_hint, not_installed
from spotwatch.core.errors import AwsRefused
from spotwatch.core.instant import Instant
from spotwatch.core.report import InstanceFacts
from spotwatch.host.agents import Agents
from spotwatch.host.clock import Clock
from spotwatch.host.ecs_agent import EcsAgent
from spotwatch.host.file_systems import FileSystems
from spotwatch.host.log_volume import LogVolume
from spotwatch.host.processes import read_process
from spotwatch.host.programs import Programs
from spotwatch.host.state_text import StateText
from spotwatch.host.told import Told
from spotwatch.host.units import Units

if TYPE_CHECKING:
    from spotwatch.aws.session import Session
    from spotwatch.core.drain_so_far import DrainSoFar
    from spotwatch.hooks.name_places import Place
    from spotwatch.hooks.recipient_places import RecipientPlace
    from spotwatch.hooks.services import AutoScaling, Ec2, Ecs, NameService, Recipient, TargetGroups

READ_TIMEOUT = 5.0
"""Seconds that an answer of EC2's may be silent for: less than usual, since there may be two minutes for everything."""

ENDPOINT = "AWS_EC2_METADATA_SERVICE_ENDPOINT"
"""Where the SDKs of AWS look for the address of the metadata service, if it is not the usual one."""


class HookClock(Clock):
    """The boot clock and the time of day."""

    def utc(self) -> datetime:
        """The time of day."""
        return datetime.now(UTC)


class Services:
    """Implements `spotwatch.hooks.services.Services`.

    Args:
        environment: what the hook was told.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = environment
        self.clock = HookClock()
        self.programs = Programs()

    @cached_property
    def born(self) -> float:
        """When this process was started (boot clock, seconds)."""
        process = read_process(os.getpid())
        return (
            time.clock_gettime(time.CLOCK_BOOTTIME) if process is None else process.started / os.sysconf("SC_CLK_TCK")
        )

    @cached_property
    def agents(self) -> Agents:
        """Tells log agents what to do."""
        return Agents(self.programs)

    @cached_property
    def file_systems(self) -> FileSystems:
        """Acts on mounted file systems."""
        return FileSystems(self.programs)

    @cached_property
    def units(self) -> Units:
        """Looks at units of systemd, and stops them."""
        return Units()

    def log_volume_of(self, what: str) -> LogVolume:
        """The volumes behind a mount point, a device or a volume id."""
        from spotwatch.host.block_devices import BlockDevices
        from spotwatch.host.log_volume import LogVolumes
        from spotwatch.host.signature import filesystem_uuid

        devices = BlockDevices()
        return LogVolumes(devices, uuid_of=lambda path: filesystem_uuid(path, devices)).log_volume_of(what)

    def instance(self) -> InstanceFacts:
        """From the environment, as far as the daemon knows it; by hand from the metadata service."""
        facts = InstanceFacts(
            id=self.environment.get("SPOTWATCH_INSTANCE_ID", ""),
            type=self.environment.get("SPOTWATCH_INSTANCE_TYPE", ""),
            availability_zone=self.environment.get("SPOTWATCH_AVAILABILITY_ZONE", ""),
            region=self.environment.get("SPOTWATCH_REGION", ""),
        )
        return facts if facts.id else self._instance_by_itself()

    def ec2(self, region: str, until: float) -> "Ec2":
        """EC2, patient until `until`.

        Raises:
            AwsError: the configuration of this machine is not sufficient, or AWS's client is not installed.
        """
        try:
            from spotwatch.aws.instances import Instances
            from spotwatch.aws.session import Session
        except ModuleNotFoundError as error:
            raise AwsRefused(not_installed(error), hint=install_hint("aws")) from None

        session = Session(self.clock, until=until, region=region or None, read_timeout=READ_TIMEOUT)
        return Instances(session.api("ec2"))

    @cached_property
    def ecs_agent(self) -> EcsAgent:
        """The ECS agent of this machine."""
        return EcsAgent()

    def target_groups(self, region: str, until: float) -> "TargetGroups":
        """Elastic Load Balancing, patient until `until`."""
        session = self._session(region, until)
        from spotwatch.aws.target_groups import TargetGroups

        return TargetGroups(session.api("elbv2"), session.api("ec2"))

    def auto_scaling(self, region: str, until: float) -> "AutoScaling":
        """EC2 Auto Scaling, patient until `until`."""
        session = self._session(region, until)
        from spotwatch.aws.auto_scaling import AutoScaling

        return AutoScaling(session.api("autoscaling"))

    def ecs(self, region: str, until: float) -> "Ecs":
        """Amazon ECS, patient until `until`."""
        session = self._session(region, until)
        from spotwatch.aws.ecs import Ecs

        return Ecs(session.api("ecs"))

    def _session(self, region: str, until: float) -> "Session":
        """AWS, in a region.

        Raises:
            AwsError: the configuration of this machine is not sufficient, or AWS's client is not installed.
        """
        try:
            from spotwatch.aws.session import Session
        except ModuleNotFoundError as error:
            raise AwsRefused(not_installed(error), hint=install_hint("aws")) from None
        return Session(self.clock, until=until, region=region or None, read_timeout=READ_TIMEOUT)

    def note(self) -> StateText | None:
        """In a file of the hook's name."""
        directory, hook = (self.environment.get(f"SPOTWATCH_{name}", "") for name in ("STATE_DIRECTORY", "HOOK"))
        if not directory or not hook:
            return None
        kept = StateText(os.path.join(directory, "hooks"), f"{hook}.json")
        kept.make_directory()
        return kept

    @property
    def vcpus(self) -> int:
        """How many this machine has."""
        return os.cpu_count() or 1

    def interface_addresses(self, names: Sequence[str]) -> Sequence[str]:
        """The addresses of network interfaces."""
        from spotwatch.host.interface_addresses import interface_addresses

        return interface_addresses(names)

    def name_service(self, place: "Place", region: str, until: float) -> "NameService":
        """The name service at a place, patient until `until`."""
        from spotwatch.cli.name_services import name_service

        return name_service(place, self.clock, until, lambda: self._session(region, until))

    def recipients(self, place: "RecipientPlace", region: str) -> "Sequence[Recipient]":
        """Those whom a word of the command line means."""
        from spotwatch.cli.recipients import recipients

        return recipients(place, lambda service_region: self._session(service_region or region, math.inf))

    def told(self) -> Told:
        """The record beside the output of this hook."""
        words = [self.environment.get(f"SPOTWATCH_{name}", "") for name in ("STATE_DIRECTORY", "DRAIN_ID", "HOOK")]
        directory, drain, hook = words
        return Told(f"{directory}/output/{drain}/{hook}.told" if all(words) else "")

    def drain_so_far(self) -> "DrainSoFar | None":
        """The drain that we are a hook of, as the daemon's journal has it."""
        from spotwatch.cli.running_drain import so_far
        from spotwatch.host.journal import Journal
        from spotwatch.host.journal_file import Access

        directory = self.environment.get("SPOTWATCH_STATE_DIRECTORY", "")
        if not directory:
            return None
        with closing(Journal(directory, Access.READ)) as journal:
            drain, hook = (self.environment.get(f"SPOTWATCH_{name}", "") for name in ("DRAIN_ID", "HOOK"))
            return so_far(journal, drain, hook, self.clock.now())

    def stage_companions(self) -> Sequence[str] | None:
        """The other hooks of our stage that are not over."""
        from spotwatch.cli.running_drain import companions_of
        from spotwatch.host.journal import Journal
        from spotwatch.host.journal_file import Access

        directory = self.environment.get("SPOTWATCH_STATE_DIRECTORY", "")
        if not directory:
            return None
        with closing(Journal(directory, Access.READ)) as journal:
            now = self.clock.now()
            drain, hook = (self.environment.get(f"SPOTWATCH_{name}", "") for name in ("DRAIN_ID", "HOOK"))
            return companions_of(journal, drain, hook, now)

    def report_so_far(self) -> str:
        """The report of our drain as the daemon's journal has it."""
        from spotwatch.cli.running_drain import report_of_running
        from spotwatch.host.journal import Journal
        from spotwatch.host.journal_file import Access

        directory = self.environment.get("SPOTWATCH_STATE_DIRECTORY", "")
        if not directory:
            return ""
        with closing(Journal(directory, Access.READ)) as journal:
            return report_of_running(journal, self.environment.get("SPOTWATCH_DRAIN_ID", ""))

    def _instance_by_itself(self) -> InstanceFacts:
        from spotwatch.core.settings import LimitSettings, MetadataSettings
        from spotwatch.watch.connection import Connection
        from spotwatch.watch.probe import probe

        endpoint = self.environment.get(ENDPOINT, "").rstrip("/")
        settings = MetadataSettings(endpoint=endpoint) if endpoint else MetadataSettings()
        return probe(Connection, settings, LimitSettings(), self._instant).instance

    def _instant(self) -> Instant:
        return Instant(self.clock.now(), self.clock.utc())
