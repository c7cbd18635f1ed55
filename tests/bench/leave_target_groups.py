"""From the start of ``spotwatch hook leave-target-groups`` until the instance takes no new requests anywhere.

An account with many target groups, of which some hold the instance; all of it on this machine, so AWS's own latency is
not in the figures. Run by hand: ``python -m tests.bench.leave_target_groups``.
"""

import os
import subprocess
import sys
import time
from resource import RUSAGE_CHILDREN, getrusage

from tests.balancers import Account, HookClock
from tests.strict_balancers import StrictBalancers

GROUPS = 100
HOLDING = 5
DELAY = 2
"""Seconds that targets drain for."""


def main() -> None:
    """Print the figures."""
    with StrictBalancers() as aws:
        os.environ.update(aws.environment())
        account = Account(aws, HookClock())
        instance = account.instance()
        groups = [account.group(f"g{number}", delay=DELAY, used=number < HOLDING) for number in range(GROUPS)]
        for arn in groups[:HOLDING]:
            account.register(arn, instance)
        told = {"SPOTWATCH_INSTANCE_ID": instance, "SPOTWATCH_REGION": "eu-west-1", "SPOTWATCH_TIMEOUT": "60"}
        began, before = time.monotonic(), getrusage(RUSAGE_CHILDREN)
        words = [sys.executable, "-m", "spotwatch", "hook", "leave-target-groups"]
        with subprocess.Popen(words, env={**os.environ, **told}) as hook:
            while aws.count("elasticloadbalancing:DeregisterTargets") < HOLDING and hook.poll() is None:
                time.sleep(0.005)
            left = time.monotonic() - began
        ended, after = time.monotonic() - began, getrusage(RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        print(
            f"{GROUPS} groups, {HOLDING} hold the instance: out of all after {left:.2f} s, drained after {ended:.2f} s"
        )
        print(f"CPU of the hook: {cpu:.2f} s, of which start and clients are most; calls: {len(aws.calls)}")


if __name__ == "__main__":
    main()
