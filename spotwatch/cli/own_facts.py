"""What this instance says of itself, from the metadata service, where the command line does not say it."""

import os
from collections.abc import Callable
from dataclasses import dataclass

from spotwatch.aws.session import Clock, patiently
from spotwatch.core.errors import MetadataError, UsageError
from spotwatch.core.settings import MetadataSettings
from spotwatch.watch.connection import Connection
from spotwatch.watch.session import Session

IMDS_SECONDS = 20.0
"""For all attempts to reach the metadata service; right after a launch it may take seconds."""


@dataclass(frozen=True, slots=True)
class OwnFacts:
    """Implements `spotwatch.addresses.services.OwnFacts`; `region` is empty where AWS's configuration is to say it."""

    instance_id: str
    instance_type: str
    region: str = ""
    mac: str = ""
    subnet_id: str = ""
    vcpus: int | None = None


def own_facts(settings: MetadataSettings, clock: Clock, until: float) -> OwnFacts:
    """Of the instance that we are on.

    Args:
        settings: where the metadata service is.
        clock: measures the time and passes it.
        until: when the last attempt may begin.

    Raises:
        MetadataError: the metadata service does not say them.
        UsageError: it answers, and says no instance id or type.
    """
    item = _reader(settings, clock, min(until, clock.now() + IMDS_SECONDS))
    mac = item("mac").lower()
    facts = OwnFacts(
        instance_id=item("instance-id"),
        instance_type=item("instance-type"),
        region=item("placement/region"),
        mac=mac,
        subnet_id=item(f"network/interfaces/macs/{mac}/subnet-id") if mac else "",
        vcpus=os.cpu_count(),
    )
    if not facts.instance_id or not facts.instance_type:
        raise UsageError(
            "the metadata service does not say which instance this is, or of what type",
            hint="say --instance-id, --instance-type and --region",
        )
    return facts


def _reader(settings: MetadataSettings, clock: Clock, until: float) -> Callable[[str], str]:
    session = Session(timeout=settings.timeout, token_ttl=settings.token_ttl, imdsv1=settings.imdsv1, now=clock.now)
    connection = Connection(settings.endpoint)

    def ask(item: str) -> str:
        flow = session.get(item)
        try:
            request = next(flow)
            while True:
                try:
                    response = connection.send(request)
                except MetadataError as error:
                    request = flow.throw(error)
                else:
                    request = flow.send(response)
        except StopIteration as end:
            return str(end.value or "").strip()

    return lambda item: patiently(until, clock)(ask, item)
