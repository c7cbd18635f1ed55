"""AWS on a loopback port: moto, and a layer over it that is as strict as AWS where moto is not.

moto lets everybody attach one volume, finishes every change at once, gives no pages, forgets client tokens, never
throttles, and believes every checksum. A job that is tested against that has not been tested. So EC2's volumes and
instances are answered by `ec2.StrictEc2`, S3's requests are looked at by `s3.Checks` first, the Price List by
`prices.PriceList`, and everything else goes to moto as it is.

What it needs is in the extra `story`.
"""

from spotwatch.simulate.strict_aws.faults import Fault
from spotwatch.simulate.strict_aws.requests import Call
from spotwatch.simulate.strict_aws.server import REGION, StrictAws
from spotwatch.simulate.strict_aws.world import Delays

__all__ = ["REGION", "Call", "Delays", "Fault", "StrictAws"]
