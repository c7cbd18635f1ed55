"""How many vCPUs of Spot Instances the account may run in the region."""

import re
from typing import Final

from spotwatch.aws.session import Api

_SPOT: Final = re.compile(r"All (?P<classes>.+?)(?: \([A-Z, a-z]+\))? Spot Instance Requests")
"""A quota's name, as in "All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests".

Service Quotas has codes too (L-34B43A08 is Standard's), but published lists of them disagree, and AWS adds classes.
"""

_SHARED_P: Final = re.compile(r"P\d.*\bP\d")
"""P2, P3 and P4 share a quota, the name of which lists them: "P4, P3 and P2"."""


def spot_quotas(service_quotas: Api) -> dict[str, float]:
    """The Spot quotas in vCPU, by class: `standard`, `g and vt`, `p`, `p5`, ….

    The applied ones (ListServiceQuotas), and the defaults (ListAWSDefaultServiceQuotas) where none is applied, as
    in an account that has never asked for more. The classes are AWS's words in small letters, and `p` for those older
    generations that share one; `spotwatch.pools.quota` has the same.

    Raises:
        AwsError: as its subclasses say.
    """
    return _listed(service_quotas, "ListAWSDefaultServiceQuotas") | _listed(service_quotas, "ListServiceQuotas")


def _listed(service_quotas: Api, operation: str) -> dict[str, float]:
    found = {}
    for page in service_quotas.pages(operation, ServiceCode="ec2", MaxResults=100):
        for quota in page.get("Quotas", ()):
            match = _SPOT.fullmatch(quota.get("QuotaName", ""))
            if match and "Value" in quota:
                found[_class(match["classes"])] = float(quota["Value"])
    return found


def _class(words: str) -> str:
    return "p" if _SHARED_P.search(words) else words.lower()
