"""The commands about models themselves: models list, add, remove, pack."""

from __future__ import annotations

import argparse
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mantid_exp2sim.cli.options import add_command, add_overwrite
from mantid_exp2sim.cli.output import emit
from mantid_exp2sim.errors import Exp2SimError

if TYPE_CHECKING:
    from mantid_exp2sim.model.bundle import Bundle

WIDTH = 100
"""Characters of a description that a list shows."""
_MODELS = """\
Models come with the package or lie in $EXP2SIM_MODELS (else ~/.local/share/mantid_exp2sim/models). One that
comes from elsewhere is checked before it is installed; nothing in it is executed.

examples:
  exp2sim models
  exp2sim models list --json
  exp2sim models add their-model.zip --name their-model
  exp2sim models pack my-model my-model.zip
  exp2sim models remove their-model
"""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands."""
    about = "list the models that are installed; add, remove or pack one"
    parser = add_command(subparsers, "models", about, _MODELS)
    parser.set_defaults(run=_list)
    actions = parser.add_subparsers(dest="action", metavar="ACTION", title="actions")
    _action(actions, "list", "list the models that are installed", _list)
    add = _action(actions, "add", "check a model in a folder or a .zip file, and install it", _add)
    add.add_argument("source", metavar="FILE|DIR", help="a .zip file or a folder")
    add.add_argument("--name", help="what to call it here (default: the name on its card)")
    add.add_argument("--overwrite", action="store_true", help="replace a model of that name")
    remove = _action(actions, "remove", "remove one of your own models", _remove)
    remove.add_argument("name", metavar="NAME")
    pack = _action(actions, "pack", "write a model to one .zip file, to be given to others", _pack)
    pack.add_argument("model", metavar="NAME|DIR")
    pack.add_argument("output", metavar="OUT.zip", type=Path)
    add_overwrite(pack)


def _action(actions: Any, name: str, about: str, run: Any) -> argparse.ArgumentParser:
    examples = [line for line in _MODELS.splitlines() if line.startswith(f"  exp2sim models {name}")]
    parser: argparse.ArgumentParser = actions.add_parser(
        name,
        help=about,
        description=about[0].upper() + about[1:] + ".",
        epilog="\n".join(["examples:", *examples]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    # no default: ``models --json list`` keeps what was said before
    parser.add_argument(
        "--json", action="store_true", default=argparse.SUPPRESS, help="print one JSON object on stdout"
    )
    parser.set_defaults(run=run)
    return parser


def _add(args: argparse.Namespace) -> int:
    from mantid_exp2sim.application.install import install_model

    bundle = install_model(args.source, name=args.name, overwrite=args.overwrite).bundle
    name, folder = bundle.folder.name, str(bundle.folder)
    report = {"name": name, "folder": folder, **_about(bundle)}
    emit(args, report, f"{name}: checked and installed in {folder}")
    return 0


def _remove(args: argparse.Namespace) -> int:
    from mantid_exp2sim.model.archive import remove_model

    folder = remove_model(args.name)
    emit(args, {"name": args.name, "folder": str(folder)}, f"{args.name}: removed")
    return 0


def _pack(args: argparse.Namespace) -> int:
    from mantid_exp2sim.model.archive import pack_model

    card = pack_model(args.model, args.output, overwrite=args.overwrite)
    size = args.output.expanduser().stat().st_size
    report = {"name": card.name, "output": str(args.output), "bytes": size}
    emit(args, report, f"{args.output}: {card.name}, {size} bytes")
    return 0


def _list(args: argparse.Namespace) -> int:
    from mantid_exp2sim.model.bundle import load_bundle
    from mantid_exp2sim.model.registry import list_models

    rows: list[dict[str, Any]] = []
    for name, folder in list_models().items():
        row: dict[str, Any] = {"name": name, "folder": str(folder), "usable": True}
        try:
            row |= _about(load_bundle(folder))
        except Exp2SimError as error:
            row |= {"usable": False, "error": str(error)}
        rows.append(row)
    lines = [
        f"{row['name']}  {_one_line(row['description']) if row['usable'] else 'DAMAGED: ' + row['error']}"
        for row in rows
    ]
    emit(args, {"models": rows}, "\n".join(lines) or "No model is installed.")
    return 0


def _about(bundle: Bundle) -> dict[str, Any]:
    card = bundle.card
    return {
        "version": card.version,
        "description": card.description,
        "target": card.target,
        "classes": list(card.classes),
        "classifiers": list(card.classifiers),
        "incident_energies": list(card.incident_energies),
        "bytes": sum(entry.size for entry in card.weights.values()),
        "checksum": bundle.checksum,
        "licence": card.licence,
        "symmetries": list(card.symmetries),
        "levels": None if card.levels is None else list(card.levels.rms),
    }


def _one_line(text: str) -> str:
    """The first line, cut after a word where it is long.

    >>> _one_line("spectra " * 30)[-17:]
    'spectra spectra …'
    """
    return textwrap.shorten(text.split("\n", 1)[0], WIDTH, placeholder=" …")
