"""``exp2sim resolution``: how wide does a spectrometer make a line?"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from mantid_exp2sim.cli.files import check_picture, check_places
from mantid_exp2sim.cli.options import add_command, add_overwrite, add_setting
from mantid_exp2sim.cli.output import emit

if TYPE_CHECKING:
    from mantid_exp2sim.simulation.widths import Resolution

EXAMPLES = """\
INSTRUMENT   MAPS, MERLIN, LET, MARI, ARCS, SEQUOIA or a TOML file

Full widths at half maximum in energy (meV) and in Q (1/Angstrom: along ki, horizontal, vertical). --json has
the covariance of these four quantities for each energy transfer, too. Without --hkl, of neutrons that go
straight on; with it, the crystal is turned so that Q lies in the horizontal plane.

--repetitions (MERLIN, LET) lists all incident energies that the choppers let through in one pulse of the
source, with their elastic widths; in --json as "repetitions", a list of {"incident_energy", "fwhm_elastic"}.

examples:
  exp2sim resolution MAPS --incident-energy 70
  exp2sim resolution MERLIN --incident-energy 50 --frequency 300 --energy 0 10 20 --json
  exp2sim resolution MAPS --incident-energy 70 --energy 20 --hkl 1 0 0 --lattice 5.41 5.46 19.27
  exp2sim resolution LET --incident-energy 5 --plot let.png
  exp2sim resolution LET --incident-energy 22.78 --frequency 240 --repetitions
"""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``resolution``."""
    about = "compute the widths of a spectrometer in energy and Q"
    parser = add_command(subparsers, "resolution", about, EXAMPLES)
    parser.add_argument("instrument", metavar="INSTRUMENT", help="name of an instrument, or a TOML file")
    parser.add_argument("--incident-energy", type=float, required=True, metavar="MEV", help="incident energy")
    parser.add_argument(
        "--energy", type=float, nargs="+", metavar="MEV", help="energy transfers (default: 0 to 0.9 Ei)"
    )
    parser.add_argument(
        "--hkl", type=float, nargs=3, metavar=("H", "K", "L"), help="where, in r.l.u. of --lattice"
    )
    parser.add_argument(
        "--lattice", type=float, nargs="+", metavar="X", help="a b c in Å, or a b c α β γ with degrees"
    )
    add_setting(parser)
    parser.add_argument(
        "--repetitions", action="store_true", help="also list the incident energies that pass together"
    )
    parser.add_argument("--plot", metavar="PNG", type=Path, help="draw the width in energy")
    add_overwrite(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run ``exp2sim resolution``."""
    from mantid_exp2sim import resolution

    check_picture(args.plot)
    check_places(args, others={"--plot": args.plot})
    names = ("energy", "hkl", "lattice", "frequency", "package", "width_scale")
    widths = resolution(
        args.instrument, args.incident_energy, **{name: getattr(args, name) for name in names}
    )
    if args.plot is not None:
        from mantid_exp2sim.plotting.widths import draw_widths

        draw_widths(widths, args.plot)
    report, text = widths.to_dict(), _text(widths)
    if args.repetitions:
        report["repetitions"] = _repetitions(args, widths)
        text += "\n\nincident energies that pass together, and their elastic widths, in meV\n"
        rows = (
            f"{row['incident_energy']:10.4g} {row['fwhm_elastic']:10.4g}" for row in report["repetitions"]
        )
        text += "\n".join(rows)
    emit(args, report, text)
    return 0


def _repetitions(args: argparse.Namespace, widths: Resolution) -> list[dict[str, float]]:
    """The incident energies that pass together and their widths at E = 0, all in meV."""
    from mantid_exp2sim import repetitions, resolution

    setting = {"frequency": widths.frequency, "package": args.package}
    energies = repetitions(args.instrument, args.incident_energy, **setting)
    return [
        {
            "incident_energy": energy,
            "fwhm_elastic": float(
                resolution(
                    args.instrument, energy, energy=0.0, width_scale=args.width_scale, **setting
                ).fwhm_energy[0]
            ),
        }
        for energy in energies
    ]


def _text(widths: Resolution) -> str:
    package = f", package {widths.package}" if widths.package else ""
    setting = f"Ei {widths.incident_energy:g} meV, {widths.frequency:g} Hz{package}"
    lines = [
        f"{widths.instrument}, {setting}: full widths at half maximum",
        f"{'energy':>10} {'energy':>10} {'':>7} {'Q along ki':>12} {'horizontal':>12} {'vertical':>12}",
        f"{'meV':>10} {'meV':>10} {'% of Ei':>7}" + f" {'1/Å':>12}" * 3,
    ]
    for energy, width, q in zip(widths.energy, widths.fwhm_energy, widths.fwhm_q, strict=True):
        share = 100 * width / widths.incident_energy
        lines.append(f"{energy:10.4g} {width:10.4g} {share:7.2f}" + "".join(f" {value:12.4g}" for value in q))
    return "\n".join(lines)
