"""Memory that is freed is kept for the next block."""

import subprocess
import sys

ONE_AFTER_THE_OTHER = """
import resource
from spotwatch.host.memory import keep_freed_memory
if {kept}:
    keep_freed_memory({kept})
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(100):
    blocks = [bytes([1]) * (1 << 20) for _ in range(2)]
    del blocks
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(kept: int) -> int:
    program = ONE_AFTER_THE_OTHER.format(kept=kept)
    done = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True)
    return int(done.stdout)


def test_large_blocks_one_after_the_other_are_taken_from_the_kernel_once() -> None:
    assert page_faults(kept=16 << 20) < 2000, "2 MiB are 512 pages"


def test_without_it_they_are_taken_anew_each_time() -> None:
    assert page_faults(kept=0) > 100 * 256
