"""Which instance a hook is for."""

from spotwatch.core.errors import UsageError
from spotwatch.core.report import InstanceFacts
from spotwatch.hooks.services import Services


def own_instance(services: Services) -> InstanceFacts:
    """The instance that we are on; its id is known.

    Raises:
        UsageError: neither the environment nor the metadata service says it.
    """
    instance = services.instance()
    if not instance.id:
        raise UsageError(
            "neither SPOTWATCH_INSTANCE_ID nor the metadata service says which instance this is",
            hint="see 'spotwatch check', or set SPOTWATCH_INSTANCE_ID and SPOTWATCH_REGION",
        )
    return instance
