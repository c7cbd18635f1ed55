"""The shared data: real dirty log volumes and what real log agents left behind. Read in place, never copied here."""

import os
import tarfile
from io import BytesIO
from pathlib import Path
from typing import Final

import pytest
import zstandard

DATA_VARIABLE: Final = "SPOTWATCH_SHARED_DATA"


def _found() -> Path | None:
    """The directory that the environment names; else `shared/data` beside the nearest ancestor of the repository."""
    if named := os.environ.get(DATA_VARIABLE):
        return Path(named)
    candidates = (ancestor / "shared" / "data" for ancestor in Path(__file__).resolve().parents)
    return next((path for path in candidates if path.is_dir()), None)


SHARED: Final = _found()
"""The directory with `volumes` and `agents`; None where there is none."""

needs_data: Final = pytest.mark.skipif(
    SHARED is None or not SHARED.is_dir(),
    reason=f"the real volumes and agents' states are not here: set {DATA_VARIABLE} to the directory that holds them",
)


def shared(*parts: str) -> Path:
    """A path below the shared data; only for tests marked with `needs_data`."""
    assert SHARED is not None
    return SHARED.joinpath(*parts)


def unpack(archive: Path, into: Path) -> Path:
    """Unpack a `.tar.zst` into a directory, and that directory."""
    with archive.open("rb") as compressed:
        content = zstandard.ZstdDecompressor().stream_reader(compressed).read()
    with tarfile.open(fileobj=BytesIO(content)) as tar:
        tar.extractall(into, filter="data")
    return into


def unpack_image(archive: Path, to: Path) -> Path:
    """Unpack a compressed disk image, with holes where it is zero, and its path."""
    chunk = 1 << 20
    with archive.open("rb") as compressed, to.open("wb") as image:
        with zstandard.ZstdDecompressor().stream_reader(compressed) as stream:
            while piece := stream.read(chunk):
                if piece.count(0) == len(piece):
                    image.seek(len(piece), os.SEEK_CUR)
                else:
                    image.write(piece)
        image.truncate(image.tell())
    return to
