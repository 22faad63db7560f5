"""The window in Workbench's menu of interfaces; in a script this does nothing, and loads no Qt."""

import sys

if "workbench" in sys.modules:
    from mantid_exp2sim.interface.qt.menu import add_to_workbench

    add_to_workbench()
