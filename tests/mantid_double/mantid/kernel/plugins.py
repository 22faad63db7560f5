"""Loading plugins as Mantid does: every .py, recursively, executed as a module named after the file."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any


def load(path: Any) -> Any:
    """Execute every .py file under `path`; a file that fails is a warning and its algorithm is missing."""
    from mantid.kernel import Logger

    root = Path(path)
    if not root.exists():
        raise ValueError(f"Unknown path: {path}")
    loaded = {}
    for file in sorted(root.rglob("*.py")) if root.is_dir() else [root]:
        spec = importlib.util.spec_from_file_location(file.stem, file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(module)  # not in sys.modules: what needs it there fails, as in Mantid
            loaded[file.stem] = module
        except (Exception, SystemExit) as error:
            Logger("PluginLoader").warning(f"Failed to load plugin {file}. Error: {error}")
    sys.stderr.flush()
    return loaded
