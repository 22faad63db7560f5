"""The command that simulates: ``exp2sim simulate spectrum | dataset``."""

from __future__ import annotations

import argparse
import os
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mantid_exp2sim.cli.files import check_formats, check_picture, check_places
from mantid_exp2sim.cli.options import add_command, add_overwrite, add_setting, require_numbers
from mantid_exp2sim.cli.output import emit, progress_bar
from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.mosaic import SHAPE, mosaic_histogram

if TYPE_CHECKING:
    from mantid_exp2sim.histogram import Histogram
    from mantid_exp2sim.simulation.excitations import Excitations
    from mantid_exp2sim.simulation.instrument import Instrument
    from mantid_exp2sim.simulation.manganite import ModelName
    from mantid_exp2sim.simulation.material import Description
    from mantid_exp2sim.simulation.scan import Scan

    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

SPECTRUM_EXAMPLES = """examples:
  exp2sim simulate spectrum goodenough.npy
  exp2sim simulate spectrum noisy.npz --model Dimer --noise 0.7 --seed 3 --plot noisy.png
  exp2sim simulate spectrum ideal.npy --parameters -11.4 1.5 -1.35 1.5 0.88 0.074 --kind integrated
  exp2sim simulate spectrum volume.nxs --incident-energy 140 --bins 60 60 60 --energy 14 98
  exp2sim simulate spectrum own.nxs --description model.toml --set J1=0.6 --set J2=0.1 --instrument MERLIN \\
    --incident-energy 16 --bins 50 50 30 --h -1 1 --k -1 1 --energy 1 9
  exp2sim simulate spectrum slice.nxs --description model.toml --axes "[H,H,0]" "[0,0,L]" --instrument LET \\
    --incident-energy 12 --bins 60 1 40 --h -1 1 --k 0.9 1.1 --energy 0.5 8 --psi 0 90 --third -0.1 0.1
  exp2sim simulate spectrum powder.nxs --description model.toml --powder --instrument MARI \\
    --incident-energy 30 --bins 60 1 40 --h 0.5 4 --energy 1 20
"""
DATASET_EXAMPLES = """examples:
  exp2sim simulate dataset training/recipes/pcsmo-maps.toml --out data/pcsmo-maps --processes 2
  exp2sim simulate dataset training/recipes/pcsmo-maps.toml --dask tcp://node1:8786
  exp2sim simulate dataset examples/tutorial/simulate.toml --processes 2

A run that was stopped goes on where it was when the same command is given again. The bytes are the same for
any number of processes.
"""


def register_simulate(subparsers: Subparsers) -> None:
    """Add ``simulate``."""
    simulate = subparsers.add_parser(
        "simulate",
        help="simulate spin waves as a spectrometer sees them",
        description="Simulate spin waves of the half-doped manganite, or of a model described in a TOML "
        "file, on a direct-geometry spectrometer.",
    )
    kinds = simulate.add_subparsers(dest="what", required=True)
    _register_spectrum(kinds)
    _register_dataset(kinds)


def _register_spectrum(kinds: Subparsers) -> None:
    parser = add_command(
        kinds,
        "spectrum",
        "one Hamiltonian",
        SPECTRUM_EXAMPLES,
        description="Simulate one Hamiltonian: the 240 x 400 mosaic, or one (h, k, E) volume. Descriptions "
        "of own models are explained in docs/simulate.md.",
    )
    parser.add_argument("out", type=Path, metavar="OUT", help=".npy, .npz or (a volume) .nxs")
    parser.add_argument("--model", default="Goodenough", help="Dimer or Goodenough (default %(default)s)")
    parser.add_argument(
        "--parameters", type=float, nargs=6, metavar="J", help="six constants in meV (default: the best fit)"
    )
    parser.add_argument(
        "--description", metavar="FILE", help="an own model: a TOML file, or the name of a shipped one"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=MEV", help="a constant of the description"
    )
    parser.add_argument(
        "--instrument",
        default="MAPS",
        metavar="NAME",
        help="MAPS, MERLIN, LET, MARI, ARCS, SEQUOIA or a TOML file",
    )
    add_setting(parser)
    parser.add_argument("--kind", choices=("convolved", "integrated", "centre"), default="convolved")
    parser.add_argument("--physics", choices=("physical", "paper_compatible"), default="physical")
    parser.add_argument("--noise", type=float, default=0.0, metavar="X", help="variance X times intensity")
    parser.add_argument("--seed", type=int, default=0, help="of the noise")
    parser.add_argument("--no-gaps", action="store_true", help="leave out the gaps between the detectors")
    parser.add_argument("--incident-energy", type=float, metavar="MEV", help="one volume, not the mosaic")
    parser.add_argument("--bins", type=int, nargs=3, default=(40, 40, 10), metavar=("NH", "NK", "NE"))
    parser.add_argument(
        "--energy", type=float, nargs=2, metavar=("FROM", "TO"), help="meV (default 0.1 to 0.7 Ei)"
    )
    for axis in "hk":
        parser.add_argument(
            f"--{axis}",
            type=float,
            nargs=2,
            metavar=("FROM", "TO"),
            help="r.l.u. (default: centres from -1 to 1)",
        )
    _register_geometry(parser)
    parser.add_argument(
        "--grid", type=int, default=30, help="half the points of the grid per r.l.u. (default %(default)s)"
    )
    parser.add_argument(
        "--lowest-energy", type=float, metavar="MEV", help="modes below it are left out (default 5e-4)"
    )
    parser.add_argument(
        "--highest-strength",
        type=float,
        metavar="X",
        help="modes above it, in ħ² per magnetic cell, are left out (default 1e6)",
    )
    parser.add_argument("--plot", type=Path, metavar="PNG", help="also draw it")
    add_overwrite(parser)
    parser.set_defaults(run=run_spectrum)


def _register_geometry(parser: argparse.ArgumentParser) -> None:
    """Add the options that say along which axes, and how the sample stands in the beam."""
    vector: dict[str, Any] = {"type": float, "nargs": 3, "metavar": ("H", "K", "L")}
    parser.add_argument(
        "--axes",
        nargs=2,
        metavar=("FIRST", "SECOND"),
        help='directions of the two momentum axes, such as "[H,H,0]" "[0,0,L]" (default: those of the '
        "description)",
    )
    parser.add_argument(
        "--psi",
        type=float,
        nargs=2,
        metavar=("FROM", "TO"),
        help="the crystal turns about the vertical between these angles (degrees); without it ki is normal "
        "to both axes",
    )
    parser.add_argument(
        "--along", default=(1.0, 0.0, 0.0), help="along ki at psi = 0 (default 1 0 0)", **vector
    )
    parser.add_argument(
        "--beside", default=(0.0, 1.0, 0.0), help="in the horizontal plane, too (default 0 1 0)", **vector
    )
    parser.add_argument(
        "--third",
        type=float,
        nargs=2,
        metavar=("FROM", "TO"),
        help="with --psi: integrate the direction normal to both axes over this range (r.l.u.)",
    )
    parser.add_argument(
        "--powder", action="store_true", help="a powder: --h is |Q| in 1/Å, with --bins NQ 1 NE"
    )


def _register_dataset(kinds: Subparsers) -> None:
    parser = add_command(
        kinds,
        "dataset",
        "a training set from a recipe",
        DATASET_EXAMPLES,
        description="Draw Hamiltonians from their ranges and simulate each in every kind.",
    )
    parser.add_argument("recipe", type=Path, metavar="RECIPE.toml")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder (default: data/NAME of the recipe)")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="default: one per core")
    parser.add_argument(
        "--dask", metavar="ADDRESS|local", help="the scheduler of a Dask cluster, or one on this machine"
    )
    parser.set_defaults(run=run_dataset)


def run_spectrum(args: argparse.Namespace) -> int:
    """``exp2sim simulate spectrum``."""
    from mantid_exp2sim.io import save
    from mantid_exp2sim.simulation.instrument import load_instrument
    from mantid_exp2sim.storage.atomic import atomic_path

    _check(args)
    instrument = load_instrument(args.instrument)
    model, parameters = _model(args)
    with ExitStack() as stack:
        picture = None if args.plot is None else stack.enter_context(atomic_path(args.plot))
        histogram = _simulated(args, instrument, model, parameters)
        if picture is not None:
            from mantid_exp2sim.plotting import plot

            plot(histogram, picture)
        save(histogram, args.out, overwrite=args.overwrite)
    name = model if isinstance(model, str) else model.name
    report = {
        "out": str(args.out),
        "model": name,
        "parameters": parameters,
        "instrument": instrument.name,
        "kind": args.kind,
        "shape": list(histogram.shape),
        "not_measured": float(histogram.mask.mean()),
    }
    told = f"{name} ({args.kind}) -> {args.out}, shape {histogram.shape}"
    if left_out := histogram.metadata["history"][0].get("modes_left_out"):
        report["modes_left_out"] = left_out
        told += f"; {left_out} modes are no excitations and left out"
    emit(args, report, told)
    return 0


def _check(args: argparse.Namespace) -> None:
    """Refuse before the work what cannot be simulated or written."""
    infinite = float("inf")
    if not 0 <= args.noise < infinite or args.seed < 0 or min(args.bins) < 1 or args.grid < 4:
        raise Exp2SimError(
            "--noise, --seed, --bins or --grid cannot be used.",
            reason=f"They are {args.noise:g}, {args.seed}, {' '.join(map(str, args.bins))} and {args.grid}.",
            fix="Give --noise and --seed from 0, positive --bins, and a --grid of 4 or more.",
        )
    if args.incident_energy is not None and not 0 < args.incident_energy < infinite:
        raise Exp2SimError(
            f"--incident-energy is {args.incident_energy:g}.", fix="Give a positive number of meV."
        )
    check_picture(args.plot)
    check_places(args, spectra={"OUT": args.out}, others={"--plot": args.plot})
    if args.incident_energy is None:
        check_formats(mosaic_histogram(np.ones(SHAPE)), args.out)
    elif args.out.suffix.lower() == ".npy":
        raise Exp2SimError("A volume cannot be written as .npy.", fix="Let OUT end in .nxs or .npz.")


def _scan(args: argparse.Namespace) -> Scan | None:
    """How the crystal turns, as the command says."""
    from pydantic import ValidationError

    from mantid_exp2sim.errors import Exp2SimError
    from mantid_exp2sim.simulation.scan import Scan
    from mantid_exp2sim.storage.toml import validation_summary

    if args.psi is None:
        if args.third is not None:
            raise Exp2SimError("--third belongs to --psi.", fix="Give --psi FROM TO, or leave --third out.")
        return None
    try:
        return Scan(psi=tuple(args.psi), along=tuple(args.along), beside=tuple(args.beside))
    except ValidationError as error:
        raise Exp2SimError(
            f"--psi, --along or --beside cannot be used: {validation_summary(error)}.",
            fix="Give two ascending angles in degrees, and two directions that are not parallel.",
        ) from error


def _simulated(
    args: argparse.Namespace,
    instrument: Instrument,
    model: ModelName | Description,
    parameters: dict[str, float],
) -> Histogram:
    from mantid_exp2sim import simulate
    from mantid_exp2sim.simulation.binning import Binning

    binning = None
    if args.incident_energy is not None:
        binning = Binning.regular(
            args.incident_energy,
            bins=tuple(args.bins),
            h=args.h,
            k=args.k,
            energy=args.energy,
            third=None if args.third is None else (args.third[0], args.third[1]),
        )
    try:
        return simulate(
            model,
            parameters,
            binning=binning,
            instrument=instrument,
            kind=args.kind,
            noise=args.noise,
            seed=args.seed,
            mask=None if args.no_gaps else "coverage",
            physics=args.physics,
            grid=args.grid,
            frequency=args.frequency,
            package=args.package,
            width_scale=args.width_scale,
            excitations=_excitations(args, model),
            axes=None if args.axes is None else (args.axes[0], args.axes[1]),
            scan=_scan(args),
            powder=args.powder,
        )
    except MemoryError as error:
        raise Exp2SimError(
            "There is not enough memory.",
            reason="It goes with --bins, with the square of --grid and with what the resolution reaches.",
            fix="Try fewer --bins or a smaller --grid, and check --incident-energy.",
        ) from error


def _excitations(args: argparse.Namespace, model: ModelName | Description) -> Excitations:
    """The limits of the model, some replaced on the command line."""
    from pydantic import ValidationError

    from mantid_exp2sim.errors import Exp2SimError
    from mantid_exp2sim.simulation.excitations import Excitations

    limits = {} if isinstance(model, str) else model.excitations.model_dump()
    for name in Excitations.model_fields:
        limits |= {} if getattr(args, name) is None else {name: getattr(args, name)}
    try:
        return Excitations(**limits)
    except ValidationError as error:
        raise Exp2SimError(
            "--lowest-energy or --highest-strength cannot be used.",
            reason=f"They are {limits}.",
            fix="Give an energy from 0 in meV and a positive strength.",
        ) from error


def _model(args: argparse.Namespace) -> tuple[ModelName | Description, dict[str, float]]:
    """The model that the command names, and its constants."""
    from mantid_exp2sim.simulation.manganite import BEST_FIT, PARAMETERS, validate_parameters
    from mantid_exp2sim.simulation.material import find_description, read_description

    if args.description is None:
        if args.set:
            raise Exp2SimError("--set belongs to --description.", fix="Give --parameters.")
        model, numbers = validate_parameters(args.model, args.parameters or [0.0] * 6)
        constants = numbers.tolist() if args.parameters else BEST_FIT[model]
        return model, dict(zip(PARAMETERS[model], constants, strict=True))
    if args.parameters is not None:
        raise Exp2SimError("--parameters belongs to --model.", fix="Give --set NAME=MEV.")
    description = read_description(find_description(args.description))
    pairs = [text.partition("=") for text in args.set]
    try:
        values = {name.strip(): float(value) for name, _, value in pairs}
    except ValueError as error:
        raise Exp2SimError(
            "A constant after --set cannot be read.", reason=str(error), fix="Give NAME=MEV, such as J1=0.6."
        ) from error
    return description, dict(zip(description.names, description.with_values(values), strict=True))


def run_dataset(args: argparse.Namespace) -> int:
    """``exp2sim simulate dataset``."""
    from mantid_exp2sim.training.datasets.dask import on_dask
    from mantid_exp2sim.training.datasets.simulate import simulate_dataset
    from mantid_exp2sim.training.datasets.simulation_recipe import read_recipe

    require_numbers(args, 1, "processes")
    recipe = read_recipe(args.recipe)
    out = args.out or Path("data") / recipe.name
    with progress_bar(args) as progress:
        summary = simulate_dataset(
            recipe,
            out,
            processes=args.processes,
            progress=progress,
            cluster=None if args.dask is None else on_dask(args.dask, processes=args.processes),
        )
    accepted = ", ".join(f"{name} {share:.1%}" for name, share in summary["acceptance"].items())
    emit(args, {"out": str(out), **summary}, f"{summary['count']} samples in {out}; stable draws: {accepted}")
    return 0
