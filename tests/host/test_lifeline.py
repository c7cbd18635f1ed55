"""A program that ends with its parent, also where the parent is killed."""

import os
import signal
import subprocess
import sys
import time

from spotwatch.host.lifeline import tied
from spotwatch.host.processes import read_process

PATIENCE = 5.0

PARENT = """
import subprocess, sys, time
from spotwatch.host.lifeline import tied
child = subprocess.Popen(tied(["/bin/sh", "-c", "echo up; exec sleep 60"]), stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
time.sleep(60)
"""


def is_alive(pid: int) -> bool:
    process = read_process(pid)
    return process is not None and process.is_alive


def test_it_gets_sigterm_when_its_parent_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert is_alive(child)
        parent.send_signal(signal.SIGKILL)
    limit = time.monotonic() + PATIENCE
    while is_alive(child):
        assert time.monotonic() < limit, "it outlived its parent"
        time.sleep(0.01)


def test_it_does_not_begin_when_its_parent_has_gone() -> None:
    words = tied(["/bin/echo", "begun"])
    words[words.index(str(os.getpid()))] = "-1"
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_it_is_the_program_with_its_words_and_its_exit_code() -> None:
    done = subprocess.run(
        tied(["/bin/sh", "-c", 'echo "$@"; exit 3', "sh", "a b"]), stdout=subprocess.PIPE, check=False
    )
    assert (done.returncode, done.stdout) == (3, b"a b\n")
