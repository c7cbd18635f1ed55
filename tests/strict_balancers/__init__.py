"""Load balancing, Auto Scaling and ECS as strict as AWS where moto is not: a layer over `simulate.strict_aws`.

With moto a target is gone as soon as it is deregistered, an instance has one port, lifecycle hooks hold up nothing and
their two calls answer 500, every change of a group is done at once, and the tasks of a draining container instance run
on. An instance that leaves by those rules has waited for nothing.
"""

from tests.strict_balancers.server import StrictBalancers
from tests.strict_balancers.world import BalancerDelays

__all__ = ["BalancerDelays", "StrictBalancers"]
