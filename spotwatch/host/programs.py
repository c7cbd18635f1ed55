"""A program in the foreground, in our own process group: whoever ends us ends it too."""

import subprocess

from spotwatch.core.errors import CommandNotStarted


class Programs:
    """Runs programs; implements `spotwatch.hooks.Programs`."""

    def run(self, argv: tuple[str, ...]) -> int:
        """Run it to its end in our own environment; its exit code, 128 + N for signal N.

        Raises:
            CommandNotStarted: it could not be executed.
        """
        try:
            code = subprocess.run(argv, stdin=subprocess.DEVNULL, check=False).returncode
        except OSError as error:
            raise CommandNotStarted(f"{argv[0]} cannot be executed: {error.strerror}") from None
        return code if code >= 0 else 128 - code
