"""Route 53 and Cloud Map as strict as AWS where moto is not: a layer over `simulate.strict_aws`.

With moto every change is in sync at once and has the same number, a record that somebody else has changed since can
still be deleted, a deletion takes the records of other names along that have the same identifier, an instance that is
registered twice is there twice, and filters and pages are ignored. Two instances that leave at once by those rules have
proved nothing.
"""

from tests.strict_dns.server import StrictDns
from tests.strict_dns.world import DnsDelays

__all__ = ["DnsDelays", "StrictDns"]
