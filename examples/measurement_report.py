"""A measured mosaic through a model, in one figure: what it shows, and how far that can be trusted.

    python examples/measurement_report.py measured.npy --mask nanmask.mat --out report/
    python examples/measurement_report.py measured.npy --model pcsmo-maps models/fine-tuned --out report/

Writes ``report.json`` and ``report.png`` (a block for each model) and prints a table: the data raw,
deconvolved and with the error of that, the correlations by both classifiers, the domain check against its
in-domain distribution, the data consistency with the known resolution of MAPS beside the noise, and the
intensity of each panel. The data are taken in their own units (scale 1) and once more with the mean intensity
of the training data (scale "auto"), since the absolute normalisation of a measurement is uncertain.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import mantid_exp2sim
from mantid_exp2sim.application.model import Model
from mantid_exp2sim.domain.reference import load_reference
from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Histogram
from mantid_exp2sim.inference.classify import NONE, Classification
from mantid_exp2sim.mosaic import is_mosaic, volumes_from_picture
from mantid_exp2sim.storage.atomic import make_folder

Floats = NDArray[np.float64]
SCALES = (1.0, "auto")
RAW, RAW_AS_SIMULATED, DECONVOLVED = (
    "raw, measurement-like classifier",
    "raw, simulation-like classifier",
    "deconvolved, simulation-like classifier",
)


@dataclass(frozen=True, slots=True, eq=False)
class Findings:
    """Everything that the figure shows of one model; the JSON holds all but the pictures."""

    name: str
    measured: Histogram
    sharp: Histogram
    in_domain: Floats | None
    """Scores of held-out spectra of the domain, where the model keeps a reference."""
    report: dict[str, Any]


def examine(model: Model, measured: Histogram) -> Findings:
    """Send a measured mosaic through a model."""
    check = model.check_domain(measured)
    sharp = model.deconvolve(measured, uncertainty=True, force=True)
    in_domain = in_domain_scores(model, measured)
    readings = {f"scale {scale}": read(model, measured, scale) for scale in SCALES}
    before, after = (float(np.nansum(h.intensity)) for h in (measured, sharp))
    report = {
        "checksum": model.checksum,
        "domain": check.to_dict(),
        "correlations": readings,
        "consistency": consistency(measured, sharp),
        "intensity_ratio": after / before,
        "intensity_ratio_per_panel": panel_ratio(sharp, measured),
    }
    report["shows"] = shows(report)
    return Findings(model.card.name, measured, sharp, in_domain, report)


def in_domain_scores(model: Model, measured: Histogram) -> Floats | None:
    """Scores of the calibration, over the incident energies that the data have: what p ranks among."""
    if model.card.domain is None or "deconvolve" not in model.card.domain.directions:
        return None
    reference, volumes = load_reference(model.bundle, "deconvolve"), model.prepare(measured).volumes
    present = ~volumes.mask.all(axis=(1, 2, 3))
    groups = sorted(set(reference.group(volumes.incident_energies[present])))
    return reference.scores(reference.calibration[:, groups], groups)


def read(model: Model, measured: Histogram, scale: float | str) -> dict[str, Any]:
    """What the classifiers say of the measurement and of its deconvolution."""
    target = model.card.target
    prepared = model.prepare(measured, scale=scale)
    readings = {
        RAW: model.classify(prepared, data_kind="convolved"),
        RAW_AS_SIMULATED: model.classify(prepared, data_kind=target),
        DECONVOLVED: model.classify(prepared, deconvolve=True),
    }
    return {"factor": prepared.factor, **{name: answer(reading) for name, reading in readings.items()}}


def answer(classification: Classification) -> dict[str, Any]:
    """A classification, as far as the report needs it."""
    return {
        "correlations": dict(classification.correlations),
        "prediction": classification.prediction,
        "threshold": classification.threshold,
    }


def panel_ratio(after: Histogram, before: Histogram) -> list[list[float | None]]:
    """Total intensity after / before per (Ei, window); None where the panel has no intensity before."""
    sums = [np.nansum(volumes_from_picture(h.intensity), axis=(1, 2)) for h in (after, before)]
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = sums[0] / sums[1]
    return [[round(float(r), 4) if np.isfinite(r) else None for r in row] for row in ratio]


def consistency(measured: Histogram, sharp: Histogram) -> dict[str, Any]:
    """‖R·y − x‖/‖x‖ of the deconvolution y of x, with the known resolution R of MAPS, and what is beside it.

    ``untranslated`` is with y = x, ``noise`` ‖noise‖/‖x‖: of the data's errors where they have any, else
    estimated from the data (`noise_of`).
    """
    import torch

    from mantid_exp2sim.simulation.binning import mosaic_binnings
    from mantid_exp2sim.simulation.resolution_operator import ResolutionOperator

    binnings = mosaic_binnings()
    energies = torch.tensor([binning.incident_energy for binning in binnings])
    x, y, variance = (
        volumes_from_picture(values) for values in (measured.intensity, sharp.intensity, measured.variance)
    )
    mask = np.isnan(x) | np.isnan(y)
    resolution = ResolutionOperator(binnings).at(energies, torch.from_numpy(mask))
    size = float(np.linalg.norm(x[~mask]))

    def distance(volumes: Floats) -> float:
        again = resolution.blur(torch.from_numpy(np.where(mask, 0, volumes))).numpy()
        return float(np.linalg.norm((again - x)[~mask])) / size

    has_errors = bool((variance[~mask] > 0).any())
    noise = float(np.sqrt(variance[~mask].sum())) if has_errors else noise_of(x, mask)
    return {
        "deconvolved": distance(y),
        "untranslated": distance(x),
        "noise": noise / size,
        "noise_is": "of the data's errors" if has_errors else "from the symmetry of the data",
    }


def noise_of(x: Floats, mask: NDArray[np.bool_]) -> float:
    """Estimate ‖noise‖ of volumes (Ei, h, k, E) from half the squared difference of (h, k) and (−h, −k).

    The crystal makes the two equal. Whatever the instrument does differently on both sides counts as noise,
    so it is an upper bound.
    """
    inverted, measured = x[:, ::-1, ::-1], ~(mask | mask[:, ::-1, ::-1])
    twice = float(np.mean((x - inverted)[measured] ** 2)) if measured.any() else 0.0
    return float(np.sqrt(0.5 * twice * np.count_nonzero(~mask)))


def shows(report: dict[str, Any]) -> str:
    """What the measurement shows, in words."""
    readings, domain, near = report["correlations"]["scale 1.0"], report["domain"], report["consistency"]
    raw, sharp = ((readings[name]["prediction"], *_largest(readings[name])) for name in (RAW, DECONVOLVED))
    if raw[0] == sharp[0] == NONE:
        said = f"Like no class, raw ({raw[1]} {raw[2]:.2f}) and deconvolved ({sharp[1]} {sharp[2]:.2f})"
    elif raw[0] == sharp[0]:
        said = f"{raw[0]}, raw ({raw[2]:.2f}) and deconvolved ({sharp[2]:.2f})"
    else:
        said = f"Raw: {_answer(*raw)}; deconvolved: {_answer(*sharp)}. The two disagree"
    p_value = "" if domain["p_value"] is None else f" (p = {domain['p_value']:.2g})"
    side = "below" if near["deconvolved"] <= near["noise"] else "above"
    return (
        f"{said}. Domain: {domain['verdict']}{p_value}. Blurred again, the deconvolution is "
        f"{near['deconvolved']:.2f} from the data, {side} their noise ({near['noise']:.2f}). "
        f"{100 * report['intensity_ratio']:.0f} % of the intensity is left."
    )


def _largest(reading: dict[str, Any]) -> tuple[str, float]:
    name = max(reading["correlations"], key=reading["correlations"].get)
    return name, reading["correlations"][name]


def _answer(prediction: str, best: str, value: float) -> str:
    return f"no class (largest {best} {value:.2f})" if prediction == NONE else f"{prediction} ({value:.2f})"


def show(findings: Findings) -> None:
    """Print the figures of one model."""
    report = findings.report
    print(f"{findings.name} {report['checksum'][:12]}")
    for scale, readings in report["correlations"].items():
        for name in (RAW, RAW_AS_SIMULATED, DECONVOLVED):
            reading = readings[name]
            shown = ", ".join(f"{c} {v:.3f}" for c, v in reading["correlations"].items())
            print(f"{scale:11s} {name:41s} {shown} -> {reading['prediction']}")
    near = report["consistency"]
    print(
        f"data consistency {near['deconvolved']:.3f}, untranslated {near['untranslated']:.3f}, "
        f"noise {near['noise']:.3f} ({near['noise_is']})"
    )
    print(report["shows"])


def main() -> int:
    """Write and print the report; 0, or 2 where the data or a model cannot be used."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("measured", type=Path)
    parser.add_argument("--mask", type=Path)
    parser.add_argument("--model", nargs="+", default=["pcsmo-maps"], help="a block of the figure for each")
    parser.add_argument("--out", type=Path, default=Path("report"))
    args = parser.parse_args()
    try:
        report(args)
    except Exp2SimError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def report(args: argparse.Namespace) -> None:
    """Read, examine, print and write."""
    from measurement_figure import draw

    measured = mantid_exp2sim.load(args.measured, mask=args.mask)
    if not is_mosaic(measured):
        raise Exp2SimError(
            f"{args.measured} is no mosaic: it has the shape {measured.shape}.",
            reason="The report is of the published picture, six incident energies of ten windows (240, 400).",
            fix="For other data there are exp2sim check, deconvolve and classify.",
        )
    make_folder(args.out)
    blocks = []
    for name in args.model:
        blocks.append(examine(mantid_exp2sim.load_model(name), measured))
        show(blocks[-1])
    draw(blocks).savefig(args.out / "report.png", dpi=110)
    text = json.dumps({block.name: block.report for block in blocks}, indent=1)
    (args.out / "report.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
