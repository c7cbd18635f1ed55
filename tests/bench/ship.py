"""1 GB of mixed log files from a loop-mounted ext4 to a real S3 server on loopback, beside others, in one run.

    python -m tests.bench.ship [--rounds 3] [--only NAME] [--directory DIR]

Needs root (it mounts) and Debian's packages radosgw, ceph-mon, ceph-osd, ceph-common and e2fsprogs. `aws`, `rclone` and
`s5cmd` are looked for on PATH, or where the environment variables AWS_CLI, RCLONE and S5CMD say; who is missing is left
out, and said to be. Each run has a server of its own, so that none finds what another has stored, and a file system
that was just mounted, as a leftover volume is, so that none finds in the page cache what another has read; the image
under it is there. The runs alternate, and the best of each counts, since whatever else the machine does only slows them
down.

`spotwatch ship` is measured whole: it also unpacks everything and reads it back, which nobody else here does. It is run
as it is once it is installed, with its modules compiled, by the interpreter that runs this, which the first line names:
some are a fifth faster than others. What the reading back costs is measured once more by itself, in a process of its
own.
"""

import argparse
import compileall
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from spotwatch.host.loop import loop_device
from tests.bench.log_files import mixed_sizes, small_sizes, write_files
from tests.radosgw import WHY_NOT, Gateway, gateway

BUCKET: Final = "shipped"
SMALL_FILES: Final = 2000
LOOK_SECONDS: Final = 0.05
"""Between two looks at the memory of the processes."""

READ_BACK: Final = """
import sys
from spotwatch.cli.destinations import Keeping, destination
from spotwatch.ship.shipper import read_manifest, verify
target = destination(sys.argv[1], Keeping())
(key,) = (found.key for found in target.below("") if "manifest-" in found.key)
verify(read_manifest(target, key), target)
"""

ONE_BY_ONE = """
import sys
from pathlib import Path
import boto3
s3, root = boto3.client("s3"), Path(sys.argv[1])
for path in sorted(root.rglob("*")):
    if path.is_file():
        s3.put_object(Bucket=sys.argv[2], Key=str(path.relative_to(root)), Body=path.read_bytes())
"""


@dataclass(frozen=True, slots=True)
class Source:
    """What is shipped: `size` bytes in so many files in an image, which is also mounted, read-only, when it is read."""

    image: Path
    mounted: Path
    size: int
    files: int


@dataclass(frozen=True, slots=True)
class Run:
    """What one run took.

    Attributes:
        seconds: from start to end.
        cpu: seconds of the process and all its children.
        memory: bytes resident at most, of the process and all its children together; what they share counts once.
        stored: bytes in the bucket afterwards.
    """

    seconds: float
    cpu: float
    memory: int
    stored: int


@dataclass(slots=True)
class Contender:
    """Somebody who brings the source into the bucket.

    Attributes:
        name: for the table.
        argv: what is run.
        after: what is run after it, and measured instead of it.
        runs: what was measured.
    """

    name: str
    argv: Sequence[str]
    after: Sequence[str] = ()
    runs: list[Run] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return min(run.seconds for run in self.runs)

    @property
    def cpu(self) -> float:
        return min(run.cpu for run in self.runs)

    @property
    def memory(self) -> int:
        return max(run.memory for run in self.runs)


def program(name: str, variable: str) -> str | None:
    return os.environ.get(variable) or shutil.which(name)


def spotwatch(*words: str) -> list[str]:
    return [sys.executable, "-P", "-m", "spotwatch", "ship", f"--to=s3://{BUCKET}/p", "--volume-id=vol-1", *words]


def contenders(source: Source) -> Iterator[Contender]:
    """All that can run on this machine."""
    here = str(source.mounted)
    ours = spotwatch(f"--device={source.image}")
    yield Contender("spotwatch", ours)
    yield Contender("spotwatch's read-back", ours, [sys.executable, "-c", READ_BACK, f"s3://{BUCKET}/p"])
    if aws := program("aws", "AWS_CLI"):
        yield Contender("aws s3 sync", [aws, "s3", "sync", "--only-show-errors", here, f"s3://{BUCKET}/p"])
    if rclone := program("rclone", "RCLONE"):
        how = ["--config", "/dev/null", "--s3-provider", "Ceph", "--s3-env-auth", "--transfers", "16"]
        server = ["--s3-endpoint", "ENDPOINT", "--s3-region", "default"]
        yield Contender("rclone", [rclone, "copy", *how, *server, here, f":s3:{BUCKET}/p"])
    if s5cmd := program("s5cmd", "S5CMD"):
        yield Contender("s5cmd", [s5cmd, "--log", "error", "cp", f"{here}/", f"s3://{BUCKET}/p/"])


def measure(contender: Contender, server: Gateway) -> Run:
    """One run on a server that is empty."""
    environment = {**os.environ, **server.environment(), "S3_ENDPOINT_URL": server.url}
    environment.pop("AWS_CA_BUNDLE", None)  # with it rclone 1.60 does not start
    client(server).create_bucket(Bucket=BUCKET)
    run = measured(contender.argv, environment, server)
    return measured(contender.after, environment, server) if contender.after else run


def measured(argv: Sequence[str], environment: Mapping[str, str], server: Gateway) -> Run:
    words = [server.url if word == "ENDPOINT" else word for word in argv]
    began = time.monotonic()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(words, env=environment, stdout=output, stderr=output)
        memory, status, used = 0, 0, None
        while used is None:
            memory = max(memory, resident(process.pid))
            ended, status, told = os.wait4(process.pid, os.WNOHANG)
            used = told if ended else None
            time.sleep(0 if ended else LOOK_SECONDS)
        seconds = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        assert process.returncode == 0, f"{words}: {output.read().decode()}"
    return Run(seconds, used.ru_utime + used.ru_stime, memory, stored(server))


def resident(pid: int) -> int:
    """Bytes, of a process and of all that it has started; what several share is counted once (proc_pid_smaps(5))."""
    try:
        told = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
        children = [
            int(child)
            for task in Path(f"/proc/{pid}/task").iterdir()
            for child in (task / "children").read_text(encoding="ascii").split()
        ]
    except (FileNotFoundError, ProcessLookupError):
        return 0
    share = told.partition("\nPss:")[2].split()
    return (int(share[0]) * 1024 if share else 0) + sum(map(resident, children))


def client(server: Gateway) -> Any:
    import boto3

    told = server.environment()
    return boto3.client(
        "s3",
        endpoint_url=server.url,
        region_name=told["AWS_REGION"],
        aws_access_key_id=told["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=told["AWS_SECRET_ACCESS_KEY"],
    )


def stored(server: Gateway) -> int:
    pages = client(server).get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
    return sum(found["Size"] for page in pages for found in page.get("Contents", ()))


def made(directory: Path, write: Callable[[Path], int]) -> Source:
    """An ext4 image with files."""
    image, root = directory / "volume.img", directory / "mounted"
    root.mkdir()
    with image.open("wb") as file:
        file.truncate(1_400_000_000)
    subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
    with mounted(image, root, read_only=False):
        size = write(root)
        files = sum(path.is_file() for path in root.rglob("*"))
    return Source(image, root, size, files)


@contextmanager
def mounted(image: Path, where: Path, *, read_only: bool) -> Iterator[None]:
    """By mount(8), on a loop device of our own."""
    with image.open("rb" if read_only else "r+b") as file, loop_device(file.fileno(), read_only=read_only) as device:
        subprocess.run(["mount", "-o", "ro" if read_only else "rw", device, where], check=True)
        try:
            yield
        finally:
            subprocess.run(["umount", where], check=True)


def compete(all_: Sequence[Contender], rounds: int, source: Source) -> None:
    """Every one, once a round."""
    for number in range(1, rounds + 1):
        print(f"round {number}, load {os.getloadavg()[0]:.1f}", flush=True)
        for one in all_:
            with gateway(memory=8 << 30) as server, mounted(source.image, source.mounted, read_only=True):
                one.runs.append(measure(one, server))
            last = one.runs[-1]
            print(f"  {one.name}: {last.seconds:.2f} s, CPU {last.cpu:.2f} s, {last.memory / 1e6:.0f} MB", flush=True)


def show(all_: Sequence[Contender], size: int) -> None:
    print(f"{'':24}{'MB/s':>8}{'CPU s/GB':>10}{'MB':>6}{'stored MB':>11}")
    for one in all_:
        speed, cpu = size / one.seconds / 1e6, one.cpu / size * 1e9
        print(f"{one.name:24}{speed:8.0f}{cpu:10.2f}{one.memory / 1e6:6.0f}{one.runs[-1].stored / 1e6:11.0f}")


def compare(all_: Sequence[Contender]) -> None:
    """The figures that are wanted."""
    ours, others = all_[0], [one for one in all_[1:] if not one.after]
    if ours.name != "spotwatch" or not others:
        return
    fastest, thriftiest = min(others, key=lambda one: one.seconds), min(others, key=lambda one: one.cpu)
    print(f"speed: {fastest.seconds / ours.seconds:.2f} x {fastest.name} (wanted: at least 1.5)")
    print(f"CPU: {ours.cpu / thriftiest.cpu:.2f} x {thriftiest.name} (wanted: less than 1)")
    print(f"memory: {ours.memory / 1e6:.0f} MB (wanted: less than 150)")


def mixed(directory: Path, rounds: int, only: Sequence[str]) -> None:
    source = made(directory, lambda root: write_files(root, mixed_sizes(random.Random(1))))
    print(f"{source.size / 1e6:.0f} MB in {source.files} files")
    all_ = [one for one in contenders(source) if not only or one.name in only]
    compete(all_, rounds, source)
    show(all_, source.size)
    compare(all_)


def small(directory: Path, rounds: int) -> None:
    """Many small files, beside boto3 one by one."""
    source = made(directory, lambda root: write_files(root, small_sizes(random.Random(2), SMALL_FILES)))
    print(f"{SMALL_FILES} small files, {source.size / 1e6:.0f} MB")
    ours = Contender("spotwatch", spotwatch(f"--device={source.image}"))
    boto3 = Contender("boto3", [sys.executable, "-c", ONE_BY_ONE, str(source.mounted), BUCKET])
    compete([ours, boto3], rounds, source)
    for one in (ours, boto3):
        print(f"{one.name:24}{SMALL_FILES / one.seconds:8.0f} files/s")
    print(f"files/s: {boto3.seconds / ours.seconds:.1f} x boto3 one by one (wanted: at least 5)")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", action="append", default=[], help="one of the table's first column; may be repeated")
    parser.add_argument("--directory", help="for the image; 1.1 GB (default: the system's for temporary files)")
    words = parser.parse_args()
    compileall.compile_dir(Path(sys.modules["spotwatch"].__path__[0]), quiet=1)
    print(f"Python {sys.version}")
    if WHY_NOT or os.geteuid() != 0:
        sys.exit(WHY_NOT or "this mounts an image, for which it has to be root")
    with tempfile.TemporaryDirectory(dir=words.directory) as name:
        mixed(Path(name), words.rounds, words.only)
    if not words.only:
        with tempfile.TemporaryDirectory(dir=words.directory) as name:
            small(Path(name), words.rounds)


if __name__ == "__main__":
    main()
