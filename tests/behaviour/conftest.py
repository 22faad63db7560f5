"""Make the modules of this folder importable, for the tests and for ``python tests/behaviour/record.py``."""

import sys
from pathlib import Path

HERE = str(Path(__file__).parent)
if HERE not in sys.path:
    sys.path.append(HERE)
