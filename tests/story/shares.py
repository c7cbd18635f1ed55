"""Whether a share is what it should be, by the exact two-sided binomial test."""

from math import exp, lgamma, log

NEVER = 1e-6
"""What is less probable does not happen to us."""


def probability(successes: int, trials: int, share: float) -> float:
    """How probable it is that chance alone is at least as far off as so many successes, if `share` is the true one."""

    def of(count: int) -> float:
        ways = lgamma(trials + 1) - lgamma(count + 1) - lgamma(trials - count + 1)
        return exp(ways + count * log(share) + (trials - count) * log(1 - share))

    seen = of(successes) * (1 + 1e-9)  # as far off on the other side counts, whatever the rounding
    return min(1.0, sum(each for count in range(trials + 1) if (each := of(count)) <= seen))
