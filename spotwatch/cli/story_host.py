"""The machines of the story, as a program: ``python -m spotwatch.cli.story_host VOLUME_ID DIRECTORY COMMAND …``.

It runs the real ``spotwatch hook`` or ``spotwatch ship``, on a machine that sees a directory where a real one sees the
EBS volume: mounting needs root, and the story does not. Everything else is what it is: AWS is asked where the
environment says that it is, and there the story puts its double. So hooks that call AWS do it, although a rehearsal is
on.
"""

import os
import sys
from argparse import ArgumentParser
from collections.abc import Sequence

from spotwatch import hooks
from spotwatch.cli import hook
from spotwatch.cli.hook_services import Services
from spotwatch.host.log_volume import LogVolume


class StoryServices(Services):
    """What a hook works with where a directory stands for the log volume."""

    def __init__(self, volume_id: str, directory: str) -> None:
        super().__init__(os.environ)
        self._volume = LogVolume(
            volume_ids=(volume_id,),
            attached_as=(),
            device=directory,
            mount_point=directory,
            filesystem_uuid="",
            layers=(),
            is_root=False,
        )

    def log_volume_of(self, what: str) -> LogVolume:  # noqa: ARG002 (whatever it is called, there is only one)
        """The only one."""
        return self._volume


def main(volume_id: str, directory: str, command: str, *words: str) -> int:
    """Run the command; its exit code."""
    if command == "hook":
        return _hook(StoryServices(volume_id, directory), words)
    return _ship(volume_id, directory, words)


def _hook(services: StoryServices, words: Sequence[str]) -> int:
    parser = ArgumentParser(prog="spotwatch hook")
    hook.add_arguments(parser)
    arguments = parser.parse_args(words)
    return hooks.built_in(arguments.name).run(arguments, services, dry_run=False)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
