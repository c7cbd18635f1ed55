"""``python -m spotwatch`` is the command ``spotwatch``."""

import sys

from spotwatch.cli import main

sys.exit(main())
