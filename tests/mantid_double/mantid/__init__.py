"""A stand-in for Mantid that refuses what Mantid refuses: only for the tests of `algorithms/`."""

from __future__ import annotations

from mantid import kernel
from mantid.kernel import ConfigService, config, logger

__version__ = "3.13.20190108"
IS_DOUBLE = True

__all__ = ["ConfigService", "config", "kernel", "logger"]
