"""A program in the foreground, in our own process group: whoever ends us ends it too."""

import subprocess

from spotwatch.core.errors import CommandNotStarted


class Programs:
    """Runs programs; implements `spotwatch.hooks.services.Programs`."""

    def run(self, argv: tuple[str, ...], *, limit: float | None = None) -> int:
        """Run it to its end in our own environment; its exit code, 128 + N for signal N.

        Args:
            argv: its words.
            limit: seconds that it may take.

        Raises:
            CommandNotStarted: it could not be executed.
            TimeoutError: its time was up, and it was killed.
        """
        try:
            code = subprocess.run(argv, stdin=subprocess.DEVNULL, timeout=limit, check=False).returncode
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"{argv[0]} has not ended within {limit} s, and was killed") from None
        except OSError as error:
            raise CommandNotStarted(f"{argv[0]} cannot be executed: {error.strerror}") from None
        return code if code >= 0 else 128 - code
