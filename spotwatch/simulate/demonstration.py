"""The settings of the demonstration: hooks that need neither root nor AWS, and only pretend."""

SETTINGS = """\
# What "spotwatch simulate" runs when it is given no settings of yours.

[metadata]
poll_interval = "1s"
rebalance_interval = "1s"

[[hook]]
name = "stop-taking-jobs"
on = ["rebalance", "terminate", "stop", "hibernate"]
stage = 10
command = ["/bin/sh", "-c", "sleep 0.5; echo no new jobs from now on"]
timeout = "10s"

[[hook]]
name = "leave-load-balancer"
stage = 20
command = ["/bin/sh", "-c", "echo deregistering $SPOTWATCH_INSTANCE_ID; sleep 2; echo out of service"]
timeout = "60s"

[[hook]]
name = "finish-requests"
stage = 20
command = ["/bin/sh", "-c", "for left in 3 2 1; do echo $left requests in flight; sleep 1; done; echo none"]
timeout = "60s"

[[hook]]
name = "flush-logs"
stage = 30
command = ["/bin/sh", "-c", "echo $SPOTWATCH_SECONDS_LEFT s left to flush; sleep 1; echo flushed"]
timeout = "20s"
reserve = "10s"
always = true
"""
