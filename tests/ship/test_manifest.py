"""The manifest: its text is the same for the same volume, and nothing else passes for one."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotwatch.ship.bundle import Frame
from spotwatch.ship.manifest import (
    FileReport,
    Manifest,
    ObjectReport,
    RangeReport,
    manifest_key,
    manifest_number,
    object_key,
    rfc3339,
)

FRAME = Frame("log/caf\udce9", 12, 0, 5, 0, 14, "ab")
FILE = FileReport(
    "log/caf\udce9", 12, 5, "2026-11-22T08:20:00Z", (RangeReport(0, 5, True, "unread"),), 3, ("log/latest",)
)
MANIFEST = Manifest(
    "vol-1", "i-1", {"type": "xfs"}, "plain", "2026-11-22T08:20:00Z", (FILE,),
    (ObjectReport("k", 40, "cd", "ef", (FRAME,)),), ("wrong",),
)  # fmt: skip


class TestItsText:
    def test_it_can_be_read_back(self) -> None:
        assert Manifest.decode(MANIFEST.encode()) == MANIFEST

    def test_it_is_the_same_for_the_same_manifest(self) -> None:
        assert replace(MANIFEST, filesystem={"type": "xfs"}).encode() == MANIFEST.encode()

    def test_another_schema_is_refused(self) -> None:
        with pytest.raises(ValueError, match="schema 2"):
            Manifest.decode(replace(MANIFEST, schema=2).encode())

    @pytest.mark.parametrize(
        ("path", "value"),
        [
            (("volume",), 1),
            (("files",), None),
            (("files",), [1]),
            (("files", 0, "size"), "5"),
            (("files", 0, "size"), -1),
            (("files", 0, "size"), True),
            (("files", 0, "ranges"), [{"start": 0}]),
            (("files", 0, "path"), None),
            (("objects", 0, "frames", 0, "offset"), -4),
            (("objects", 0, "frames", 0, "xxh128"), []),
            (("objects", 0, "key"), {}),
            (("unknown",), 1),
        ],
    )
    def test_a_value_of_another_type_makes_it_none(self, path: tuple[str | int, ...], value: object) -> None:
        document = json.loads(MANIFEST.encode())
        inside = document
        for part in path[:-1]:
            inside = inside[part]
        inside[path[-1]] = value
        with pytest.raises(ValueError, match=r"."):
            Manifest.decode(json.dumps(document).encode())

    @given(st.binary(max_size=100))
    def test_rubbish_is_none(self, rubbish: bytes) -> None:
        with pytest.raises(ValueError, match=r"."):
            Manifest.decode(rubbish)


class TestKeys:
    def test_the_date_is_the_data_s(self) -> None:
        assert object_key("vol-1", "i-1", "2026-11-22T08:20:00Z") == "2026/11/22/i-1/vol-1"

    def test_a_hostile_name_is_one_part_of_a_key(self) -> None:
        assert object_key("../x", "a/b", "2026-11-22T08:20:00Z") == "2026/11/22/a%2Fb/..%2Fx"

    @given(st.integers(-(2**63), 2**63))
    def test_nonsense_times_are_dates_all_the_same(self, nanoseconds: int) -> None:
        assert len(rfc3339(nanoseconds)) == len("2026-11-22T08:20:00Z")

    def test_the_number_of_a_manifest_is_in_its_key(self) -> None:
        assert manifest_number(manifest_key("2026/11/22/i/v", 12)) == 12

    @pytest.mark.parametrize("key", ["a/00000-ab.zst", "a/manifest-1.json", "a/manifest-00001.json.part", "manifest-"])
    def test_other_keys_are_no_manifests(self, key: str) -> None:
        assert manifest_number(key) is None
