"""``python -m mantid_exp2sim``: the same as ``exp2sim``."""

from __future__ import annotations

import sys

from mantid_exp2sim.cli import main

if __name__ == "__main__":
    sys.exit(main())
