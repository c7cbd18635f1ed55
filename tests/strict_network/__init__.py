"""EC2's network interfaces as strict as AWS where moto is not: a layer over `simulate.strict_aws`.

With moto an interface can be attached twice, an address be on two interfaces, a type has no limits, every change is
done at once, an interface in use can be deleted, DeleteOnTermination cannot be set, and an assignment is answered with
all addresses. What has held several addresses by those rules has held nothing.
"""

from tests.strict_network.server import StrictNetworkAws
from tests.strict_network.world import NetworkDelays

__all__ = ["NetworkDelays", "StrictNetworkAws"]
