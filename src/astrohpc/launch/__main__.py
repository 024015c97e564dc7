"""``python -m astrohpc.launch``."""

import sys

from astrohpc.launch.cli import main

sys.exit(main())
