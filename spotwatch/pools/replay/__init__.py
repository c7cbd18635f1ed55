"""A fleet and its run-time policy, replayed through records of when Spot capacity pools were available.

The model, and what it assumes:

- A pool is available or not, as the trace says; all that runs in it is lost at the moment the trace says so. A trace of
  several nodes says how many of them could be had: then at most that part of the fleet fits into the pool.
- An available pool takes any amount up to that. The price does not move because of the fleet.
- Who launches knows at once which pools are available: a launch in an unavailable one is refused, costs no time, and
  another pool is asked.
- What is launched is in service after a fixed time (`Policy.launch_seconds`). What was on its way into a pool that is
  lost never comes, and is launched anew elsewhere.
- The two minutes' notice and the rebalance recommendation are not in the traces and are not used: replacements start
  when the capacity is gone. A fleet that launches at the notice does better.
- Capacity is divisible. The replay begins with the whole fleet in service in the pools that are available then.
- Loads, quotas and caps on types, families and AZs are not modelled: the pools of a trace differ by AZ alone.
"""
