"""What was done in the window as a script, for Python and for Mantid."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.interface.session import Choice, Entry, Outcome, Session
from mantid_exp2sim.interface.views import View, sliders, volumes
from mantid_exp2sim.mosaic import is_mosaic

_MD_NAMES = {
    "instrument": "Instrument",
    "incident_energy": "IncidentEnergy",
    "frequency": "ChopperFrequency",
    "lattice": "Lattice",
    "background": "Background",
    "uncertainty": "PropagateErrors",
    "force": "Force",
}


def python_script(session: Session, view: View | None = None) -> str:
    """Return a script that repeats what was done with the data that are looked at, and the cut of a view.

    >>> import numpy as np
    >>> from pathlib import Path
    >>> from mantid_exp2sim.mosaic import mosaic_histogram
    >>> session = Session()
    >>> entry = session.add(Entry("a.npy", mosaic_histogram(np.ones((240, 400))), path=Path("/a.npy")))
    >>> print(python_script(session), end="")
    import mantid_exp2sim as e2s
    <BLANKLINE>
    measured = e2s.load('/a.npy')
    print(measured.shape)
    """
    entry, outcome = session.entry, session.outcome(session.entry.name)
    lines = ["import mantid_exp2sim as e2s", *_imports(entry, view), "", *_read(entry)]
    if not outcome.choices:
        lines.append("print(measured.shape)")
    lines += _translated(outcome) + _checked(outcome) + _classified(outcome) + _fitted(outcome)
    if view is not None and view.box is not None:
        lines += _cut(entry, outcome, view)
    return "\n".join(lines) + "\n"


def _imports(entry: Entry, view: View | None) -> list[str]:
    lines = []
    if entry.workspace is not None:
        lines += ["from mantid.api import mtd", "from mantid_exp2sim.mantid import workspace"]
    if view is not None and view.box is not None and is_mosaic(entry.histogram):
        lines.append("from mantid_exp2sim.mosaic import split")
    return lines


def _read(entry: Entry) -> list[str]:
    if entry.workspace is not None:
        name = f"mtd[{entry.workspace!r}]"
        return [
            f"measured = workspace.read({name}).histogram",
            f"about = workspace.sample_and_instrument({name})",
            "measured = measured.replace(metadata={**about, **measured.metadata})",
        ]
    if entry.path is None:
        raise Exp2SimError(
            f"{entry.name} is from no file and no workspace.", fix="Save the data, and open that file."
        )
    return [f"measured = e2s.load({str(entry.path.expanduser().resolve())!r})"]


def _call(function: str, *arguments: str, **keywords: Any) -> str:
    return (
        f"{function}({', '.join([*arguments, *(f'{name}={value!r}' for name, value in keywords.items())])})"
    )


def _translated(outcome: Outcome) -> list[str]:
    if outcome.translation is None:
        return []
    choice = outcome.choices["translation"]
    keywords = {"method": choice.method, "model": choice.model, **choice.options()}
    if choice.direction == "convolve":
        return [f"result = {_call('e2s.convolve', 'measured', **keywords)}", *_saved("result")]
    return [
        f"separated = {_call('e2s.separate', 'measured', **keywords)}",
        "result = separated.histogram",
        "background, residual = separated.removed, separated.residual",
        *_saved("result"),
    ]


def _saved(name: str) -> list[str]:
    return [f"# e2s.save({name}, 'result.npz')"]


def _checked(outcome: Outcome) -> list[str]:
    if outcome.domain is None:
        return []
    choice = outcome.choices["domain"]
    model = _call("e2s.load_model", repr(choice.model))
    report = _call(f"{model}.check_domain", "measured", direction=choice.direction, **choice.domain_options())
    return [f"report = {report}", "print(report.words())"]


def _classified(outcome: Outcome) -> list[str]:
    if outcome.classification is None:
        return []
    choice = outcome.choices["classification"]
    model = _call("e2s.load_model", repr(choice.model))
    answer = _call(f"{model}.classify", "measured", **choice.domain_options())
    return [f"answer = {answer}", "print(answer.prediction, answer.correlations, *answer.warnings)"]


def _fitted(outcome: Outcome) -> list[str]:
    if outcome.fit is None:
        return []
    choice = outcome.choices["fit"]
    measurement = _call("e2s.Measurement", "measured", **choice.setting())
    options = _call("e2s.FitOptions", **choice.search())
    models = repr(list(choice.spin_models))
    return [f"fit = e2s.fit({measurement}, {models}, options={options})", "print(fit.sentence)"]


def _cut(entry: Entry, outcome: Outcome, view: View) -> list[str]:
    """Cut along the horizontal axis, over the box and the bins of the sliders."""
    assert view.box is not None
    assert view.up is not None
    volume = volumes(entry.histogram)[view.volume]
    along = volume.axes[view.across]
    ranges = {volume.axes[view.up].name: tuple(view.box[2:])}
    for i in sliders(entry.histogram, view):
        edges = volume.axes[i].edges[view.bins[i] : view.bins[i] + 2]
        ranges[volume.axes[i].name] = (float(edges[0]), float(edges[1]))
    part = f"split({{}})[{view.volume}]" if is_mosaic(entry.histogram) else "{}"
    names = ["measured", *(["result"] if outcome.translation is not None else [])]
    lines = [f"ranges = {ranges!r}"]
    for name in names:
        cut = f"{part.format(name)}.cut(ranges).cut({{{along.name!r}: {view.box[:2]!r}}}, keep=True)"
        lines.append(f"{name}_cut = {cut}")
    lines.append(f"e2s.compare({{{', '.join(f'{name!r}: {name}_cut' for name in names)}}}, 'cut.png')")
    return lines


def mantid_script(session: Session) -> str:
    """Return a script of Mantid's algorithms that repeats what was done with the data that are looked at.

    Raises
    ------
    Exp2SimError
        If the data are no workspace and no file that LoadMD reads.
    """
    entry, outcome = session.entry, session.outcome(session.entry.name)
    lines = [
        "import mantid_exp2sim",
        "from mantid import simpleapi",
        "",
        "mantid_exp2sim.register_algorithms()",
    ]
    name = entry.workspace or "measured"
    if entry.workspace is None:
        lines.append(_call("simpleapi.LoadMD", Filename=_md_file(entry), OutputWorkspace=name))
    for kind, write in _MD_LINES.items():
        if kind in outcome.choices:
            lines += write(name, outcome.choices[kind], outcome)
    return "\n".join(lines) + "\n"


def _md_file(entry: Entry) -> str:
    if entry.path is None or entry.path.suffix.lower() != ".nxs":
        raise Exp2SimError(
            f"Mantid cannot load {entry.name}.",
            reason="LoadMD takes .nxs files of one histogram.",
            fix="Copy the script for Python, or save the data as .nxs and open that file.",
        )
    return str(entry.path.expanduser().resolve())


def _md_translate(name: str, choice: Choice, outcome: Outcome) -> list[str]:
    assert outcome.translation is not None
    step = outcome.translation.histogram.metadata["history"][-1]
    method = step.get("options", {}).get("method", "network")
    keywords: dict[str, Any] = {"InputWorkspace": name, "OutputWorkspace": f"{name}_result", "Method": method}
    if method == "network":
        keywords["Model"] = choice.model
    if choice.direction == "deconvolve":
        keywords |= {"RemovedWorkspace": f"{name}_background", "ResidualWorkspace": f"{name}_residual"}
    keywords |= _md_options(choice.options())
    algorithm = "DeconvolveMD" if choice.direction == "deconvolve" else "ConvolveMD"
    return [_call(f"simpleapi.{algorithm}", **keywords)]


def _md_options(options: Mapping[str, Any]) -> dict[str, Any]:
    values = {_MD_NAMES[key]: value for key, value in options.items()}
    if "Lattice" in values:
        values["Lattice"] = ",".join(repr(number) for number in values["Lattice"])
    return values


def _md_check(name: str, choice: Choice, outcome: Outcome) -> list[str]:
    keywords = {"InputWorkspace": name, "ModelDirection": choice.direction, "Model": choice.model}
    options = _md_options(choice.domain_options())
    return [f"print({_call('simpleapi.CheckModelDomainMD', **keywords, **options)})"]


def _md_classify(name: str, choice: Choice, outcome: Outcome) -> list[str]:
    keywords = {"InputWorkspace": name, "Model": choice.model}
    options = _md_options(choice.domain_options())
    if "IncidentEnergy" in options:
        options = {"IncidentEnergies": repr(options["IncidentEnergy"])}
    return [f"print({_call('simpleapi.ClassifySpinWavesMD', **keywords, **options)})"]


def _md_fit(name: str, choice: Choice, outcome: Outcome) -> list[str]:
    keywords: dict[str, Any] = {
        "InputWorkspace": name,
        "SpinWaveModel": ",".join(choice.spin_models),
        "OutputWorkspace": f"{name}_constants",
        **{key.capitalize(): value for key, value in choice.search().items()},
    }
    setting = choice.setting()
    if "instrument" in setting:
        keywords["Instrument"] = setting["instrument"]
    if "frequency" in setting:
        keywords["ChopperFrequencies"] = repr(setting["frequency"])
    return [_call("simpleapi.FitSpinWavesMD", **keywords)]


_MD_LINES = {
    "translation": _md_translate,
    "domain": _md_check,
    "classification": _md_classify,
    "fit": _md_fit,
}
