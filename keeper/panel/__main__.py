"""Entry of ``python -m keeper.panel``."""

import sys

from keeper.panel.server import main

sys.exit(main())
