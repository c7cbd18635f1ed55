"""Bundles: the same volume gives the same objects, and each frame can be read by itself."""

import struct
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zstandard import ZstdDecompressor

from spotwatch.ship import bundle
from spotwatch.ship.bundle import Frame, Packer, Piece, deal_out, decode_index, encode_index, index_length, one_each
from spotwatch.ship.decision import Reason, Segment
from spotwatch.ship.tree import LogFile
from tests.ship.directory_tree import DirectoryTree
from tests.ship.store import written


def file_of(path: str, size: int, inode: int = 7) -> LogFile:
    return LogFile(path, inode, size, size, 1)


def segment(path: str, start: int, end: int) -> Segment:
    return Segment(file_of(path, end), start, end, Reason.UNREAD)


def packed(tree: DirectoryTree, *segments: Segment) -> tuple[bytes, list[Frame], Packer]:
    (whole,) = deal_out(segments)
    index: list[Frame] = []
    with Packer(tree, workers=2) as packer:
        return b"".join(packer.pack(whole, index)), index, packer


sizes = st.lists(st.integers(0, 3 * bundle.PIECE_BYTES), max_size=20)


class TestDealingOut:
    @given(sizes)
    def test_every_byte_is_in_exactly_one_piece_and_every_empty_file_in_one(self, ends: list[int]) -> None:
        segments = [segment(str(n), 0, end) for n, end in enumerate(ends)]
        pieces = [piece for each in deal_out(segments, most=bundle.PIECE_BYTES * 2) for piece in each.pieces]
        for n, end in enumerate(ends):
            its = [piece for piece in pieces if piece.file.path == str(n)]
            assert [piece.start for piece in its] == [0, *(piece.end for piece in its[:-1])]
            assert its[-1].end == end

    @given(sizes)
    def test_no_bundle_is_larger_than_it_may_be(self, ends: list[int]) -> None:
        most = bundle.PIECE_BYTES * 2
        segments = [segment(str(n), 0, end) for n, end in enumerate(ends)]
        assert all(each.size <= most for each in deal_out(segments, most=most))

    def test_nothing_to_ship_is_no_bundle(self) -> None:
        assert list(deal_out([])) == []

    def test_one_object_a_file_has_a_bundle_for_each_range(self) -> None:
        found = list(one_each([segment("a", 0, 5), segment("a", 9, 12), segment("b", 0, 0)]))
        assert [(each.number, each.size) for each in found] == [(0, 5), (1, 3), (2, 0)]

    @pytest.mark.parametrize(
        "other",
        [
            Piece(file_of("b", 5), 0, 5),
            Piece(file_of("a", 6), 0, 5),
            Piece(file_of("a", 5, inode=8), 0, 5),
            Piece(file_of("a", 5), 1, 5),
        ],
        ids=["path", "size", "inode", "range"],
    )
    def test_another_range_of_another_file_has_another_name(self, other: Piece) -> None:
        names = {bundle.Bundle(0, (piece,)).name(1) for piece in (Piece(file_of("a", 5), 0, 5), other)}
        assert len(names) == 2

    def test_a_name_that_is_no_utf_8_has_a_digest(self) -> None:
        assert bundle.Bundle(0, (Piece(file_of("caf\udce9", 5), 0, 5),)).name(2).endswith("-2.zst")


class TestPacking:
    def test_zstd_of_the_whole_object_gives_all_ranges_in_a_row(self, tmp_path: Path) -> None:
        tree = written(tmp_path, a=b"aaaa", b=b"", c=b"cc")
        data, _, _ = packed(tree, segment("a", 1, 4), segment("b", 0, 0), segment("c", 0, 2))
        assert ZstdDecompressor().stream_reader(data, read_across_frames=True).read() == b"aaacc"

    def test_each_frame_can_be_read_by_itself(self, tmp_path: Path) -> None:
        tree = written(tmp_path, a=b"a" * 100_000, c=b"cc")
        data, index, _ = packed(tree, segment("a", 0, 100_000), segment("c", 0, 2))
        pieces = {f.path: bundle.unpack(f, data[f.offset : f.offset + f.length]) for f in index}
        assert pieces == {"a": b"a" * 100_000, "c": b"cc"}

    def test_the_index_at_the_end_is_the_one_that_was_filled(self, tmp_path: Path) -> None:
        data, index, _ = packed(written(tmp_path, a=b"x"), segment("a", 0, 1))
        assert decode_index(data[-index_length(data[-4:]) :]) == tuple(index)

    def test_the_same_files_give_the_same_bytes(self, tmp_path: Path) -> None:
        tree = written(tmp_path, a=b"x" * 50_000, b=b"y")
        segments = segment("a", 0, 50_000), segment("b", 0, 1)
        assert packed(tree, *segments)[0] == packed(tree, *segments)[0]

    def test_what_is_shorter_than_its_size_says_is_shipped_and_told(self, tmp_path: Path) -> None:
        _, index, packer = packed(written(tmp_path, a=b"abc"), segment("a", 0, 10))
        assert [(f.start, f.end) for f in index] == [(0, 3)]
        assert [lost.reason for lost in packer.lost] == ["it ends 7 bytes before its size says"]

    def test_what_cannot_be_opened_is_told_and_the_rest_is_shipped(self, tmp_path: Path) -> None:
        tree = written(tmp_path, a=b"abc", b=b"def")
        tree.unreadable = frozenset({"a"})
        _, index, packer = packed(tree, segment("a", 0, 3), segment("b", 0, 3))
        assert [f.path for f in index] == ["b"]
        assert [lost.path for lost in packer.lost] == ["a"]


class TestUnpacking:
    def test_a_changed_byte_is_found_unless_the_content_is_the_same(self, tmp_path: Path) -> None:
        """Some bits of a frame's header say nothing of its content; the object's own checksum covers them."""
        data, (frame,), _ = packed(written(tmp_path, a=b"hello"), segment("a", 0, 5))
        for at in range(frame.length):
            spoilt = bytearray(data[: frame.length])
            spoilt[at] ^= 1
            with suppress(ValueError):
                assert bundle.unpack(frame, bytes(spoilt)) == b"hello"
            spoilt[at] ^= 0xFE
            with pytest.raises(ValueError, match=r"a, bytes 0 to 5"):
                bundle.unpack(frame, bytes(spoilt))

    def test_a_frame_of_other_content_is_found(self, tmp_path: Path) -> None:
        data, (frame,), _ = packed(written(tmp_path, a=b"hello"), segment("a", 0, 5))
        other = Frame("a", 7, 0, 5, 0, frame.length, "0" * 32)
        with pytest.raises(ValueError, match="checksum"):
            bundle.unpack(other, data[: frame.length])

    @given(st.binary(max_size=200))
    def test_what_is_no_index_is_refused_and_nothing_else_happens(self, rubbish: bytes) -> None:
        with pytest.raises(ValueError, match="index"):
            decode_index(rubbish)

    @pytest.mark.parametrize("content", [b"1", b"[1]", b'[{"path": 1}]', b"\xff"])
    def test_an_index_of_something_else_is_refused(self, content: bytes) -> None:
        from zstandard import ZstdCompressor

        inside = ZstdCompressor().compress(content)
        tail = struct.pack("<II", bundle.INDEX_MAGIC, len(inside) + 4) + inside + struct.pack("<I", len(inside) + 12)
        with pytest.raises(ValueError, match=r"."):
            decode_index(tail)

    def test_an_empty_index_is_one(self) -> None:
        assert decode_index(encode_index([])) == ()
