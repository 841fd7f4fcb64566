"""``python -m contrapose``."""

import sys

from contrapose.cli import main

sys.exit(main())
