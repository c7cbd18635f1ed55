"""A shipment may be begun again anywhere, by anybody: what is there is found, what is wrong is passed by."""

from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from xxhash import xxh128_hexdigest
from zstandard import ZstdCompressor

from spotwatch.core.errors import DestinationError, PackingFailed
from spotwatch.ship import bundle
from spotwatch.ship.decision import Source, decide
from spotwatch.ship.shipper import Shipment, look_for_all, publish, read_manifest, verify
from tests.ship.store import ORIGIN, Memory, damaged, everything, store, written


@pytest.fixture
def target() -> Memory:
    return Memory()


class TestStoring:
    def test_a_second_run_stores_nothing_and_drafts_the_same_manifest(self, tmp_path: Path, target: Memory) -> None:
        tree = written(tmp_path, a=b"aaa", b=b"bb")
        first, before = store(tree, target), dict(target.objects)
        assert store(tree, target) == first
        assert target.objects == before

    def test_one_object_a_file_goes_the_same_way(self, tmp_path: Path, target: Memory) -> None:
        tree = written(tmp_path, a=b"aaa", b=b"bb")
        manifest = store(tree, target, one_object_a_file=True)
        assert len(manifest.objects) == 2
        assert store(tree, target, one_object_a_file=True) == manifest

    def test_an_object_that_holds_something_else_stays_and_the_right_one_gets_the_next_name(
        self, tmp_path: Path, target: Memory
    ) -> None:
        tree = written(tmp_path, a=b"aaa")
        (key,) = (stored.key for stored in store(tree, Memory()).objects)
        for wrong in (b"", b"x", b"rubbish" * 9):
            target.objects = {key: wrong}
            manifest = store(tree, target)
            assert [stored.key for stored in manifest.objects] == [key.replace(".zst", "-2.zst")]
            assert target.objects[key] == wrong
            verify(manifest, target)

    def test_an_object_whose_index_is_right_and_whose_content_is_damaged_is_not_taken_for_it(
        self, tmp_path: Path, target: Memory
    ) -> None:
        tree = written(tmp_path, a=b"hello")
        (stored,) = store(tree, target).objects
        whole = target.objects[stored.key]
        target.objects[stored.key] = whole[:12] + bytes([whole[12] ^ 0xFF]) + whole[13:]
        manifest = store(tree, target)
        assert [again.key for again in manifest.objects] == [stored.key.replace(".zst", "-2.zst")]
        verify(manifest, target)

    def test_a_machine_that_packs_wrongly_is_found_out_before_there_is_an_object(
        self, tmp_path: Path, target: Memory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Mistaken:
            """zstd on a processor that has changed one bit of what it was given."""

            def __init__(self, **how: Any) -> None:
                self._zstd = ZstdCompressor(**how)

            def compress(self, content: bytes) -> bytes:
                return self._zstd.compress(bytes([content[0] ^ 1]) + bytes(content[1:]))

        monkeypatch.setattr(bundle, "ZstdCompressor", Mistaken)
        with pytest.raises(PackingFailed, match="a, bytes 0 to 5"):
            store(written(tmp_path, a=b"hello"), target)
        assert target.objects == {}

    def test_a_half_read_bundle_of_an_earlier_run_is_not_taken_for_the_whole(
        self, tmp_path: Path, target: Memory
    ) -> None:
        tree = written(tmp_path, a=b"aaa", b=b"bbb")
        decision = everything(tree)
        tree.unreadable = frozenset({"a"})
        half = store(tree, target, decision)
        assert half.anomalies == ("a cannot be read: bytes 0 to 3: Input/output error",)
        tree.unreadable = frozenset()
        whole = store(tree, target, decision)
        assert whole.anomalies == ()
        assert [frame.path for stored in whole.objects for frame in stored.frames] == ["a", "b"]
        assert half.objects[0].key != whole.objects[0].key

    def test_what_could_not_be_read_is_told_once(self, tmp_path: Path, target: Memory) -> None:
        tree = written(tmp_path, a=b"aaa", b=b"bbb")
        decision = everything(tree)
        tree.unreadable = frozenset({"a"})
        store(tree, target, decision)
        assert len(store(tree, target, decision).anomalies) == 1

    def test_progress_ends_with_all_bytes_whether_they_were_there_or_not(self, tmp_path: Path, target: Memory) -> None:
        tree = written(tmp_path, a=b"aaa", b=b"bb" * 1000)
        for _ in range(2):
            told: list[int] = []
            Shipment(tree, target, workers=1, progress=told.append).store(everything(tree), ORIGIN)
            assert told == sorted(told)
            assert told[-1] == 2003

    def test_a_large_file_is_in_several_frames(self, tmp_path: Path, target: Memory) -> None:
        size = bundle.PIECE_BYTES + 1
        manifest = store(written(tmp_path, a=bytes(range(256)) * (size // 256) + b"!"), target)
        frames = manifest.objects[0].frames
        assert [(frame.start, frame.end) for frame in frames] == [(0, size - 1), (size - 1, size)]
        verify(manifest, target)

    def test_the_hashes_of_an_object_are_those_of_what_is_stored(self, tmp_path: Path, target: Memory) -> None:
        (told,) = store(written(tmp_path, a=b"hello", b=b"x" * 100_000), target).objects
        stored = target.objects[told.key]
        assert (told.size, told.sha256) == (len(stored), sha256(stored).hexdigest())
        assert told.xxh128 == xxh128_hexdigest(stored)

    def test_nothing_to_ship_is_a_manifest_without_objects(self, tmp_path: Path, target: Memory) -> None:
        manifest = store(written(tmp_path), target)
        assert (manifest.objects, manifest.files, manifest.shipped_bytes) == ((), (), 0)

    def test_a_destination_that_refuses_ends_it(self, tmp_path: Path, target: Memory) -> None:
        target.refused = {".zst"}
        with pytest.raises(DestinationError, match="refused"):
            store(written(tmp_path, a=b"a"), target)


class TestPublishing:
    def test_the_same_manifest_is_stored_once(self, tmp_path: Path, target: Memory) -> None:
        manifest = store(written(tmp_path, a=b"a"), target)
        assert publish(manifest, target) == publish(manifest, target)
        assert sum("manifest-" in key for key in target.objects) == 1

    def test_another_one_gets_the_next_number_and_the_first_stays(self, tmp_path: Path, target: Memory) -> None:
        manifest = store(written(tmp_path, a=b"a"), target)
        first, second = publish(manifest, target), publish(damaged(manifest), target)
        assert (first[-10:], second[-10:]) == ("00001.json", "00002.json")
        assert read_manifest(target, first) == manifest

    def test_one_that_was_superseded_and_holds_again_is_the_latest_again(self, tmp_path: Path, target: Memory) -> None:
        manifest = store(written(tmp_path, a=b"a"), target)
        for one in (manifest, damaged(manifest), manifest):
            last = publish(one, target)
        assert last.endswith("manifest-00003.json")

    def test_what_is_no_manifest_is_refused(self, target: Memory) -> None:
        target.objects["k"] = b"{}"
        with pytest.raises(DestinationError, match="memory:/k"):
            read_manifest(target, "k")


class TestVerifying:
    def test_every_changed_byte_of_an_object_is_found(self, tmp_path: Path, target: Memory) -> None:
        manifest = store(written(tmp_path, a=b"hello", b=b""), target)
        (stored,) = manifest.objects
        whole = target.objects[stored.key]
        for at in range(len(whole)):
            target.objects[stored.key] = whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]
            with pytest.raises(DestinationError):
                verify(manifest, target)

    def test_an_object_that_is_gone_or_cut_is_found(self, tmp_path: Path, target: Memory) -> None:
        manifest = store(written(tmp_path, a=b"hello"), target)
        (stored,) = manifest.objects
        target.objects[stored.key] = target.objects[stored.key][:-1]
        for look in (look_for_all, verify):
            with pytest.raises(DestinationError, match="memory:/"):
                look(manifest, target)
        del target.objects[stored.key]
        for look in (look_for_all, verify):
            with pytest.raises(DestinationError, match="is not there"):
                look(manifest, target)

    def test_what_was_stored_passes(self, tmp_path: Path, target: Memory) -> None:
        manifest = store(written(tmp_path, a=b"hello", b=b"", c=b"x" * 100_000), target)
        look_for_all(manifest, target)
        verify(manifest, target)


def test_the_manifest_says_why_each_range_was_shipped(tmp_path: Path, target: Memory) -> None:
    tree = written(tmp_path, a=b"text\0\0", b=b"")
    manifest = store(tree, target, decide(tree, Source("/")))
    a, b = manifest.files
    assert [(piece.start, piece.end, piece.reason, piece.shipped) for piece in a.ranges] == [(0, 4, "unread", True)]
    assert a.trailing_nul_bytes == 2
    assert [(piece.start, piece.end, piece.shipped) for piece in b.ranges] == [(0, 0, True)]
    assert replace(manifest, objects=()).shipped_bytes == 0
