"""The words with which hooks are told of the log volume, and how they are read."""

from argparse import ArgumentParser, ArgumentTypeError
from pathlib import PurePosixPath

from spotwatch.core.quantity import parse_duration
from spotwatch.core.volume import LONGEST_TAG_VALUE, Agent, AgentKind


def add_volume_choice(parser: ArgumentParser) -> None:
    """One of three ways to name the log volume, all of them in `volume`."""
    choice = parser.add_mutually_exclusive_group(required=True)
    choice.add_argument("--mount-point", dest="volume", metavar="PATH", help="where it is mounted, or a path on it")
    choice.add_argument("--device", dest="volume", metavar="PATH", help="its block device, such as /dev/nvme1n1")
    choice.add_argument("--volume-id", dest="volume", metavar="ID", help="its id, such as vol-0123456789abcdef0")


def on_the_volume(text: str) -> str:
    """A path or a pattern relative to the root of the volume's file system."""
    path = PurePosixPath(text)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise ArgumentTypeError(f'"{text}": write it relative to the root of the volume, such as "app/*.log"')
    return _short_enough(str(path))


def agent(text: str) -> Agent:
    """``KIND:STATE_PATH``."""
    kind, colon, state = text.partition(":")
    kinds = [known.value for known in AgentKind]
    if kind not in kinds or not colon:
        raise ArgumentTypeError(f'"{text}": write KIND:STATE_PATH, where KIND is one of {", ".join(kinds)}')
    _short_enough(text)
    return Agent(AgentKind(kind), on_the_volume(state))


def owner(text: str) -> str:
    """Whom to ask, in a tag."""
    return _short_enough(text)


def positive_seconds(text: str) -> float:
    """A duration that is not zero."""
    seconds = duration(text)
    if not seconds:
        raise ArgumentTypeError("write a time longer than zero")
    return seconds


def duration(text: str) -> float:
    """Seconds."""
    try:
        return parse_duration(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None


def _short_enough(text: str) -> str:
    if len(text) > LONGEST_TAG_VALUE:
        raise ArgumentTypeError(f'"{text[:20]}…" is longer than the {LONGEST_TAG_VALUE} characters that a tag can hold')
    return text
