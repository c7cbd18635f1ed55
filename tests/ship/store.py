"""A destination in memory that can go wrong, and the usual way through a shipment."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from spotwatch.core.errors import DestinationError
from spotwatch.core.stored import Stored
from spotwatch.ship.decision import Decision, Source, decide
from spotwatch.ship.manifest import Manifest
from spotwatch.ship.shipper import Origin, Shipment
from spotwatch.ship.tree import Tree
from tests.ship.directory_tree import DirectoryTree

ORIGIN = Origin("vol-0123", "i-0456", {"type": "ext4", "uuid": "u"}, "plain")


class Memory:
    """Implements `spotwatch.ship.destination.Destination`.

    Attributes:
        objects: what is stored.
        asked: every read: key, start, length.
        refused: keys that nothing can be stored under.
    """

    url = "memory:"

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.asked: list[tuple[str, int, int | None]] = []
        self.refused: set[str] = set()

    def put(self, key: str, chunks: Iterable[bytes]) -> bool:
        if key in self.objects:
            return False
        data = b"".join(chunks)
        if any(part in key for part in self.refused):
            raise DestinationError(f"{key} is refused")
        return self.objects.setdefault(key, data) is data

    def find(self, key: str) -> Stored | None:
        return Stored(key, len(self.objects[key])) if key in self.objects else None

    def below(self, prefix: str) -> Iterator[Stored]:
        return (Stored(key, len(data)) for key, data in sorted(self.objects.items()) if key.startswith(prefix))

    def read(self, key: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        self.asked.append((key, start, length))
        if key not in self.objects:
            raise DestinationError(f"{key} is not there")
        yield self.objects[key][start : None if length is None else start + length]


def written(root: Path, **files: bytes) -> DirectoryTree:
    """A tree with these files; `__` in a name is a slash, and their times are fixed."""
    for name, data in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return DirectoryTree(root)


def everything(tree: Tree) -> Decision:
    return decide(tree, Source("/"))


def store(tree: Tree, target: Memory, decision: Decision | None = None, **options: bool) -> Manifest:
    decision = decision or everything(tree)
    shipment = Shipment(tree, target, workers=2, one_object_a_file=options.get("one_object_a_file", False))
    return shipment.store(decision, ORIGIN)


def damaged(manifest: Manifest) -> Manifest:
    """The same volume, read with something wrong."""
    return replace(manifest, anomalies=("something is wrong",))
