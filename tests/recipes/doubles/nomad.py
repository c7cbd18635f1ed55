"""What `nomad node` does, by Nomad's documentation, with the words that it has there: a node and its allocations.

The state is in /var/lib/nomad-double.json: ``allocations`` with the seconds that each still takes once it is drained,
``drained`` (the deadline in seconds, or null), ``eligible``, ``token``, ``refusals`` (so often the agent does not
answer), ``forced`` (what the deadline has ended).
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

FILE = Path("/var/lib/nomad-double.json")


def parser() -> argparse.ArgumentParser:
    """Go's flags: one dash."""
    command = argparse.ArgumentParser(prog="nomad", prefix_chars="-", allow_abbrev=False)
    command.add_argument("node", choices=["node"])
    command.add_argument("what", choices=["drain", "eligibility"])
    for flag in ("-enable", "-disable", "-self", "-yes", "-ignore-system"):
        command.add_argument(flag, action="store_true")
    command.add_argument("-deadline")
    return command


def keep(state: dict[str, object]) -> None:
    """All of it, or nothing."""
    new = FILE.with_suffix(".new")
    new.write_text(json.dumps(state))
    new.rename(FILE)


def main() -> int:
    words = parser().parse_args()
    state = json.loads(FILE.read_text())
    if state["refusals"] > 0:
        keep({**state, "refusals": state["refusals"] - 1})
        return refused("Unexpected response code: 500 (No cluster leader)")
    if os.environ.get("NOMAD_TOKEN") != state["token"]:
        return refused("Unexpected response code: 403 (Permission denied)")
    if words.enable == words.disable or not words.self:
        return refused("Either the '-enable' or '-disable' flag must be set")
    if words.what == "drain" and words.disable and (words.deadline or words.ignore_system):
        return refused("-disable can't be combined with flags configuring drain strategy")
    if words.what == "eligibility":
        state["eligible"] = words.enable
    elif words.disable:
        state |= {"drained": None, "eligible": True}
    else:
        seconds = float(words.deadline.removesuffix("s"))
        keep({**state, "drained": seconds, "eligible": False})
        time.sleep(min(seconds, max(state["allocations"].values())))
        state = json.loads(FILE.read_text())
        state["forced"] = [name for name, takes in state["allocations"].items() if takes > seconds]
        state["allocations"] = {}
    keep(state)
    return 0


def refused(message: str) -> int:
    print(message, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
