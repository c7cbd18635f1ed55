"""What was shipped comes back byte for byte, with few requests, and only from the latest manifest of each volume."""

from dataclasses import replace
from pathlib import Path

import pytest

from spotwatch.core.errors import DestinationError
from spotwatch.ship import reading
from spotwatch.ship.manifest import Manifest, RangeReport
from spotwatch.ship.reading import Gap, contents, latest_manifests, shipped_files
from spotwatch.ship.shipper import publish
from tests.ship.store import Memory, damaged, store, written


@pytest.fixture
def target() -> Memory:
    return Memory()


def read_back(manifest: Manifest, target: Memory) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for content in contents(target, shipped_files(manifest)):
        path = content.file.file.path
        assert content.start == len(found.get(path, b""))
        found[path] = found.get(path, b"") + content.data
    return found


class TestContents:
    def test_every_file_comes_back(self, tmp_path: Path, target: Memory) -> None:
        manifest = store(written(tmp_path, a=b"aaa", b=b"", c=b"x" * 9_000_000), target)
        assert read_back(manifest, target) == {"a": b"aaa", "b": b"", "c": b"x" * 9_000_000}

    def test_neighbours_are_asked_for_together(self, tmp_path: Path, target: Memory) -> None:
        names = {f"f{n:03}": b"%d" % n for n in range(200)}
        manifest = store(written(tmp_path, **names), target)
        target.asked.clear()
        assert read_back(manifest, target) == names
        assert len(target.asked) == 1

    def test_of_one_file_only_its_frame_is_read(self, tmp_path: Path, target: Memory) -> None:
        manifest = store(written(tmp_path, a=b"a" * 1000, b=b"b" * 1000, c=b"c" * 1000), target)
        (one,) = (file for file in shipped_files(manifest) if file.file.path == "b")
        target.asked.clear()
        assert [content.data for content in contents(target, [one])] == [b"b" * 1000]
        ((_, start, length),) = target.asked
        ((_, frame),) = one.frames
        assert (start, length) == (frame.offset, frame.length)

    def test_no_request_is_larger_than_it_may_be(
        self, tmp_path: Path, target: Memory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        manifest = store(written(tmp_path, **{f"f{n}": b"%d" % n for n in range(20)}), target)
        monkeypatch.setattr(reading, "REQUEST_BYTES", 50)
        target.asked.clear()
        read_back(manifest, target)
        assert all(length is not None and length <= 50 for _, _, length in target.asked)
        assert len(target.asked) > 1

    def test_a_changed_object_is_found(self, tmp_path: Path, target: Memory) -> None:
        manifest = store(written(tmp_path, a=b"hello"), target)
        (key,) = target.objects
        target.objects[key] = target.objects[key][:8] + b"!" + target.objects[key][9:]
        with pytest.raises(DestinationError, match="a, bytes 0 to 5"):
            read_back(manifest, target)


class TestLatest:
    def test_of_two_manifests_of_a_volume_the_later_one_counts(self, tmp_path: Path, target: Memory) -> None:
        manifest = store(written(tmp_path, a=b"a"), target)
        publish(manifest, target)
        key = publish(damaged(manifest), target)
        assert list(latest_manifests(target)) == [(key, damaged(manifest))]

    def test_later_data_counts_more_than_a_higher_number(self, tmp_path: Path, target: Memory) -> None:
        manifest = store(written(tmp_path, a=b"a"), target)
        for newest in ("2026-11-22T10:00:00Z", "2026-11-20T10:00:00Z", "2026-11-22T09:00:00Z"):
            publish(replace(manifest, newest=newest), target)
            publish(damaged(replace(manifest, newest="2026-11-20T10:00:00Z")), target)
        ((_, latest),) = latest_manifests(target)
        assert latest.newest == "2026-11-22T09:00:00Z"  # the same key prefix: the number decides

    def test_two_instances_that_had_a_volume_one_after_the_other(self, tmp_path: Path, target: Memory) -> None:
        manifest = store(written(tmp_path, a=b"a"), target)
        publish(replace(manifest, instance="i-1", newest="2026-11-21T10:00:00Z"), target)
        publish(replace(manifest, instance="i-2", newest="2026-11-22T10:00:00Z"), target)
        assert [found.instance for _, found in latest_manifests(target)] == ["i-2"]
        assert [found.instance for _, found in latest_manifests(target, instance="i-1")] == ["i-1"]

    def test_volumes_are_chosen_without_reading_the_manifests_of_others(self, tmp_path: Path, target: Memory) -> None:
        manifest = store(written(tmp_path, a=b"a"), target)
        for number in range(5):
            publish(replace(manifest, volume=f"vol-{number}", newest=f"2026-11-2{number}T10:00:00Z"), target)
        target.asked.clear()
        assert [found.volume for _, found in latest_manifests(target, volume="vol-3")] == ["vol-3"]
        assert [found.volume for _, found in latest_manifests(target, since="2026-11-24T10:00:00Z")] == ["vol-4"]
        assert len(target.asked) == 2

    def test_what_else_lies_there_is_passed_by(self, target: Memory) -> None:
        target.objects |= {"manifest-00001.json": b"", "a/b/manifest-00001.json": b"", "notes.txt": b""}
        assert list(latest_manifests(target)) == []


class TestGaps:
    def gaps(self, manifest: Manifest, *ranges: RangeReport) -> tuple[Gap, ...]:
        (file,) = manifest.files
        (found,) = shipped_files(replace(manifest, files=(replace(file, ranges=ranges),)))
        return found.gaps

    def test_what_was_shipped_whole_has_none(self, tmp_path: Path, target: Memory) -> None:
        manifest = store(written(tmp_path, a=b"0123456789"), target)
        assert self.gaps(manifest, *manifest.files[0].ranges) == ()

    def test_what_was_not_to_be_shipped_is_one_with_its_reason(self, tmp_path: Path, target: Memory) -> None:
        manifest = store(written(tmp_path, a=b"0123456789"), target)
        ranges = RangeReport(0, 10, True, "unread"), RangeReport(10, 20, False, "acknowledged")
        assert self.gaps(manifest, *ranges) == (Gap(10, 20, "acknowledged"),)

    def test_what_could_not_be_read_is_one(self, tmp_path: Path, target: Memory) -> None:
        manifest = store(written(tmp_path, a=b"0123456789"), target)
        (stored,) = manifest.objects
        (frame,) = stored.frames
        torn = replace(stored, frames=(replace(frame, start=3, end=5), replace(frame, start=7, end=8)))
        ranges = (RangeReport(0, 10, True, "unread"),)
        assert self.gaps(replace(manifest, objects=(torn,)), *ranges) == (
            Gap(0, 3, "unreadable"),
            Gap(5, 7, "unreadable"),
            Gap(8, 10, "unreadable"),
        )
