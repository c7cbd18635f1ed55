"""The Spot vCPU quotas: which instance types share one.

The Amazon EC2 User Guide, "Spot Instance quotas", has one quota of vCPUs for each class and region, over all running
and requested Spot Instances together: All Standard (A, C, D, H, I, M, R, T, Z), DL, F, G and VT, Inf, P4 with P3 and
P2, P5, Trn, X. It names none for HPC, Mac and high memory types, which are not sold as Spot Instances; they and
classes that came later stand for themselves here.
"""

from types import MappingProxyType
from typing import Final

from spotwatch.core.capacity import TypeName

STANDARD: Final = "standard"

_CLASSES: Final = MappingProxyType(
    {
        **dict.fromkeys(("a", "c", "d", "h", "i", "im", "is", "m", "r", "t", "z"), STANDARD),
        **dict.fromkeys(("g", "gr", "vt"), "g and vt"),
    }
)

_P_SHARED: Final = 4
"""P2, P3 and P4 share a quota; each later generation has its own."""

DEFAULT_VCPUS: Final = MappingProxyType({STANDARD: 5.0})
"""What a new account has; every other class has 0."""


def quota_class(name: TypeName) -> str:
    """The quota that Spot Instances of a type count towards: `standard`, `g and vt`, `inf`, `p`, `p5`, `x`, …."""
    if name.instance_class == "p" and name.generation > _P_SHARED:
        return f"p{name.generation}"
    return _CLASSES.get(name.instance_class, name.instance_class)
