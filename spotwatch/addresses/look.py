"""What EC2 shows of an instance, put together."""

from spotwatch.addresses.plan import OWNER_TAG, Instance
from spotwatch.addresses.services import NetworkInterfaces, OwnFacts
from spotwatch.core.errors import UsageError
from spotwatch.core.network_interface import NetworkInterface


def look(facts: OwnFacts, ec2: NetworkInterfaces) -> Instance:
    """The instance with its interfaces and those that were made for it.

    Raises:
        AwsError: EC2 does not say it.
        UsageError: EC2 knows no such instance, or it is another one than the one that we are on.
    """
    attached = tuple(ec2.attached_to(facts.instance_id))
    primary = _primary(facts, attached)
    limits = ec2.limits(facts.instance_type)
    known = {each.id for each in attached}
    free = [each for each in ec2.tagged(OWNER_TAG, facts.instance_id) if each.id not in known]
    return Instance(
        facts.instance_id,
        facts.vcpus or limits.vcpus,
        limits,
        attached,
        tuple(sorted((each for each in free if each.attachment is None), key=lambda each: each.id)),
        ec2.subnet(primary.subnet_id),
    )


def _primary(facts: OwnFacts, attached: tuple[NetworkInterface, ...]) -> NetworkInterface:
    for each in attached:
        if each.attachment is not None and each.attachment.device_index == 0:
            if (facts.mac or each.mac) != each.mac or (facts.subnet_id or each.subnet_id) != each.subnet_id:
                raise UsageError(
                    f"the metadata service says that {facts.instance_id} has {facts.mac} in {facts.subnet_id}, "
                    f"and EC2 that it has {each.mac} in {each.subnet_id}",
                    hint="see which account and region the credentials are for",
                )
            return each
    raise UsageError(
        f"EC2 shows no network interface of {facts.instance_id}", hint="see the instance's id and the region"
    )
