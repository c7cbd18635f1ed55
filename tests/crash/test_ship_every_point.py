"""``spotwatch ship`` dies at every point, and each volume is shipped once and deleted once all the same.

The batch job works on real file systems, for EC2 and S3 as the strict double serves them. Before and after each call,
each device, overlay and mount: either everything is killed, or only the process that reads, or all of it stands still,
is taken over by another host and wakes up later. Afterwards nothing is lost, nothing is there twice, no volume was
deleted before its manifest was valid, and nothing is left: no attachment, loop device, mount, overlay, process, upload.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from queue import SimpleQueue

import pytest

from spotwatch.host.qemu_overlay import QemuOverlays
from tests.crash.fork_server import ForkServer
from tests.crash.lives import ROOT
from tests.crash.ship import OF_THE_READER
from tests.crash.ship_lives import Cloud, Crash, Fate, Story, Trial, cloud
from tests.ship import images
from tests.ship.images import Image, needs_images

pytestmark = [
    pytest.mark.root,
    pytest.mark.slow,
    needs_images,
    pytest.mark.skipif(bool(QemuOverlays().obstacle()), reason=f"no qemu overlay: {QemuOverlays().obstacle()}"),
]

AT_ONCE = 6
"""Trials side by side: they wait for half of their time, for EC2 and for silent leases."""

PATIENCE = 120.0
"""Seconds for one life; on an idle machine it takes one."""

EVERY_KIND = 6
"""Of so many points one is tried where not all of them are: neighbours are much alike."""

exhaustive = pytest.mark.exhaustive


class Sweep:
    """Lives through crashes, several at a time; nothing may be wrong with any of them."""

    def __init__(
        self, directory: Path, ec2: Cloud, server: ForkServer, volumes: Sequence[tuple[Image, Fate]], *, at_once: int
    ) -> None:
        self._directory, self._ec2, self._server, self._volumes = directory, ec2, server, volumes
        self._at_once = at_once
        self._numbers = count()
        self._hosts: SimpleQueue[tuple[str, str]] = SimpleQueue()
        for _ in range(at_once):
            self._hosts.put(ec2.hosts())

    def live(self, *crashes: Crash) -> list[Story]:
        """What became of each."""
        with ThreadPoolExecutor(self._at_once) as pool:
            stories = list(pool.map(self._live_once, crashes))
        wrong = [f"{story.crash}: {story.complaints}\n{story.logs}" for story in stories if story.complaints]
        assert not wrong, f"{len(wrong)} of {len(stories)}:\n" + "\n".join(wrong)
        return stories

    def points(self) -> list[str]:
        """The names of the points of a life without a crash."""
        (story,) = self.live(Crash())
        assert len(story.points) == 1, f"it took more than one life without any crash:\n{story.logs}"
        return story.points[0]

    def _live_once(self, crash: Crash) -> Story:
        directory = self._directory / f"trial-{next(self._numbers)}"
        hosts = self._hosts.get()
        try:
            words = ("--snapshot", f"--jobs={len(self._volumes)}")
            trial = Trial(directory, self._ec2, self._server, self._volumes, hosts, crash, words)
            return trial.live_at_once() if crash.end == "both" else trial.live()
        finally:
            self._hosts.put(hosts)


Begin = Callable[..., Sweep]


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServer]:
    with ForkServer("tests.crash.ship", ROOT, PATIENCE) as running:
        yield running


@pytest.fixture
def begin(tmp_path: Path, server: ForkServer) -> Iterator[Begin]:
    """A sweep over these volumes."""
    with cloud(tmp_path / "devices") as ec2:

        def sweep(*volumes: tuple[Image, Fate], at_once: int = AT_ONCE) -> Sweep:
            return Sweep(tmp_path, ec2, server, volumes, at_once=at_once)

        yield sweep


@pytest.fixture
def sweep(begin: Begin, tmp_path: Path) -> Sweep:
    """Over one volume each, with a file system that was cut off."""
    return begin((images.dirty(tmp_path / "image", "ext4", images.logs_and_noise), Fate.DELETED))


Told = Callable[[list[Story]], None]


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Told:
    """Prints how many there were. Only a look whether something shows may be spared in another life."""

    def tell(stories: list[Story]) -> None:
        crashed = [story for story in stories if story.is_crashed]
        kinds = {story.crash.point.partition(",")[0] for story in crashed}
        with capsys.disabled():
            print(f"\n{len(crashed)} crashes of ship survived, at {len(kinds)} kinds of points")
        missed = [story.crash.point for story in stories if not story.is_crashed]
        assert not [point for point in missed if "ec2:Describe" not in point]

    return tell


def test_a_life_without_a_crash_reaches_every_effect(sweep: Sweep) -> None:
    deeds = (point.partition(",")[0].removeprefix(OF_THE_READER) for point in sweep.points())
    reached = {deed.removeprefix("before ") for deed in deeds}
    calls = {name.split()[0].partition(":")[2] for name in reached if name.startswith(("ec2:", "s3:"))}
    assert calls >= {
        "DescribeVolumes", "DescribeInstances", "DescribeInstanceTypes", "CreateTags", "AttachVolume", "DetachVolume",
        "DeleteVolume", "HeadObject", "PutObject", "GetObject", "ListObjectsV2", "CreateMultipartUpload", "UploadPart",
        "CompleteMultipartUpload", "ListMultipartUploads",
    }  # fmt: skip
    assert reached >= {"the claim", "read_only", "the qemu overlay", "mounted", "decide"}


def test_two_hosts_that_begin_at_once_ship_it_once(sweep: Sweep) -> None:
    sweep.live(*[Crash(end="both")] * 12)


@pytest.mark.parametrize(
    ("end", "elsewhere"),
    [
        pytest.param("all", False, id="everything dies, same host"),
        pytest.param("all", True, id="everything dies, other host"),
        pytest.param("stop", True, id="everything stands still, is taken over and wakes up"),
    ],
)
def test_it_survives_the_end_of_a_life_at_every_point(end: str, elsewhere: bool, sweep: Sweep, told: Told) -> None:
    told(sweep.live(*(Crash(point, end, elsewhere) for point in sweep.points())))


@pytest.mark.parametrize("elsewhere", [False, pytest.param(True, marks=exhaustive)], ids=["same host", "other host"])
def test_it_survives_the_death_of_the_process_that_reads_at_every_point(
    elsewhere: bool, sweep: Sweep, told: Told
) -> None:
    points = (point for point in sweep.points() if point.startswith(OF_THE_READER))
    told(sweep.live(*(Crash(point, "one", elsewhere) for point in points)))


@pytest.mark.parametrize("kind", ["xfs", "btrfs"])
@pytest.mark.parametrize("step", [EVERY_KIND, pytest.param(1, marks=exhaustive)], ids=["some points", "every point"])
def test_other_file_systems_survive_it_too(kind: str, step: int, begin: Begin, tmp_path: Path, told: Told) -> None:
    """One at a time with btrfs: the kernel tells its volumes apart by a UUID, which is that of the image."""
    image = images.dirty(tmp_path / "image", kind, images.logs_and_noise)
    sweep = begin((image, Fate.DELETED), at_once=1 if kind == "btrfs" else AT_ONCE)
    told(sweep.live(*(Crash(point) for point in sweep.points()[::step])))


@pytest.mark.parametrize("step", [EVERY_KIND, pytest.param(1, marks=exhaustive)], ids=["some points", "every point"])
@pytest.mark.parametrize("elsewhere", [False, True], ids=["same host", "other host"])
def test_a_batch_of_several_volumes_of_which_some_are_wrong_survives_it(
    step: int, elsewhere: bool, begin: Begin, tmp_path: Path, told: Told
) -> None:
    """One is deleted; one has an anomaly; on one there is nothing that can be read."""
    damaged = images.clean(tmp_path / "damaged", "ext4", images.logs)
    images.mark_as_damaged(damaged)
    sweep = begin(
        (images.dirty(tmp_path / "image", "ext4", images.logs_and_noise), Fate.DELETED),
        (damaged, Fate.QUARANTINED),
        (Image(images.lvm(tmp_path / "lvm"), "LVM"), Fate.UNREADABLE),
    )
    told(sweep.live(*(Crash(point, elsewhere=elsewhere) for point in sweep.points()[::step])))


@exhaustive
@pytest.mark.parametrize("elsewhere", [False, True], ids=["same host", "other host"])
def test_it_survives_a_second_death_too(elsewhere: bool, sweep: Sweep, told: Told) -> None:
    """The second life begins where the first one ended, and ends a little later."""
    points = sweep.points()[::EVERY_KIND]
    told(sweep.live(*(Crash(first, elsewhere=elsewhere, again=second) for first in points for second in points)))
