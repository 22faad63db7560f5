"""What a model does to a test set that it has never seen: figures, tables, pictures.

`evaluate` measures, `tables` and `write_report` show it.
"""

from __future__ import annotations

from mantid_exp2sim.training.evaluation.evaluate import Settings, evaluate
from mantid_exp2sim.training.evaluation.report import write_report
from mantid_exp2sim.training.evaluation.tables import tables

__all__ = ["Settings", "evaluate", "tables", "write_report"]
