"""The process of the command ``spotwatch``, which is also ``python -m spotwatch``."""

import gc
import sys
from typing import NoReturn

from spotwatch.cli import main


def run() -> NoReturn:
    """Run one command, and end."""
    code = main()
    gc.freeze()  # the interpreter ends with looks for garbage over all that is there, a tenth of a second after `ship`
    sys.exit(code)


if __name__ == "__main__":
    run()
