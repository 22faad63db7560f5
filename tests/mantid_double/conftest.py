"""The stand-in is for the tests alone: it becomes importable here, and only where there is no real Mantid."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

collect_ignore = ["mantid"]

HERE = Path(__file__).parent
if importlib.util.find_spec("mantid") is None:
    sys.path.insert(0, str(HERE))
if str(HERE) not in sys.path:
    sys.path.append(str(HERE))

from mantid.kernel import config  # noqa: E402

config["user.python.plugins.directories"] = ""  # nothing of what this machine has installed
