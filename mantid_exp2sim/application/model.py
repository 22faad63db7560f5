"""The model as a user meets it; the command line, Python and Mantid call it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mantid_exp2sim.application.likelihood import require_fit, with_likelihood
from mantid_exp2sim.application.one_measurement import join_measurement
from mantid_exp2sim.application.opinions import likelier_kind, with_warnings
from mantid_exp2sim.domain.check import check_domain, require_domain, with_verdict
from mantid_exp2sim.histogram import Histogram
from mantid_exp2sim.inference.attribution import Attribution, explain
from mantid_exp2sim.inference.classify import Classification, classify
from mantid_exp2sim.inference.options import TranslationOptions
from mantid_exp2sim.inference.prepare import Prepared, prepare
from mantid_exp2sim.inference.translate import Progress, Translation, translate
from mantid_exp2sim.inference.volumes import open_volumes
from mantid_exp2sim.model.bundle import Bundle, open_bundle
from mantid_exp2sim.model.registry import DEFAULT_MODEL

if TYPE_CHECKING:
    from mantid_exp2sim.domain.check import DomainReport
    from mantid_exp2sim.model.card import Card, Direction


@dataclass(frozen=True, slots=True)
class Model:
    """Translate, classify, check and explain data with a trained model. Made by :func:`load_model`.

    Every method takes a histogram, or what :meth:`prepare` made of one: then the data are opened, and what
    two methods need computed, only once. ``**options`` are the fields of
    :class:`mantid_exp2sim.inference.options.TranslationOptions`, or ``options=`` such an object;
    ``progress(done, total, message)`` is called in between, and what it raises ends the run.

    >>> model = load_model("pcsmo-maps")
    >>> model.card.target
    'integrated'
    """

    bundle: Bundle

    def __repr__(self) -> str:
        return repr(self.bundle).replace("Bundle", "Model", 1)

    @property
    def card(self) -> Card:
        """Everything that is known about the model."""
        return self.bundle.card

    @property
    def folder(self) -> Path:
        """Where the model lies."""
        return self.bundle.folder

    @property
    def checksum(self) -> str:
        """SHA-256 of the card, which stands for the whole model."""
        return self.bundle.checksum

    def validate(self, histogram: Histogram, *, incident_energy: float | None = None) -> None:
        """Raise what a translation would raise because of the data; quick and without torch."""
        open_volumes(histogram, self.card, incident_energy=incident_energy)

    def prepare(
        self, data: Histogram | Prepared, options: TranslationOptions | None = None, **changes: Any
    ) -> Prepared:
        """Open the volumes of a histogram once; data that are prepared already stay so.

        Raises
        ------
        Exp2SimError
            If the model does not take such data, or an option is out of range.
        """
        if isinstance(data, Prepared):
            if options is None and not changes:
                return data
            return self.prepare(data.histogram, options or data.options, **changes)
        return prepare(data, self.bundle, replace(options or TranslationOptions(), **changes))

    def translate(
        self,
        data: Histogram | Prepared,
        direction: Direction,
        *,
        parts: bool = False,
        progress: Progress | None = None,
        **options: Any,
    ) -> Translation:
        """Deconvolve or convolve data; with ``parts`` also give the parts of the uncertainty.

        Data outside the domain that the model was trained on are refused unless ``force``; the verdict is in
        the last entry of ``metadata["history"]`` as ``domain``.
        """
        prepared = self.prepare(data, **options)
        report = require_domain(prepared, direction)
        translation = translate(prepared, direction, parts=parts, progress=progress)
        return replace(translation, histogram=with_verdict(translation.histogram, report))

    def deconvolve(
        self, data: Histogram | Prepared, *, progress: Progress | None = None, **options: Any
    ) -> Histogram:
        """Make measurement-like data simulation-like, as :meth:`translate` does."""
        return self.translate(data, "deconvolve", progress=progress, **options).histogram

    def convolve(
        self, data: Histogram | Prepared, *, progress: Progress | None = None, **options: Any
    ) -> Histogram:
        """Make simulation-like data measurement-like, as :meth:`translate` does."""
        return self.translate(data, "convolve", progress=progress, **options).histogram

    def join(self, histograms: Iterable[Histogram]) -> Histogram:
        """Join volumes at several incident energies: see `application.one_measurement.join_measurement`."""
        return join_measurement(histograms, self.card)

    def check_domain(
        self, data: Histogram | Prepared, direction: Direction = "deconvolve", **options: Any
    ) -> DomainReport:
        """Say whether data are like the training data: see `mantid_exp2sim.domain.check.check_domain`."""
        return check_domain(self.prepare(data, **options), direction)

    def classify(
        self,
        data: Histogram | Prepared,
        *,
        data_kind: str = "auto",
        deconvolve: bool = False,
        fit: bool = False,
        progress: Progress | None = None,
        **options: Any,
    ) -> Classification:
        """Say which spin-wave model data show; see :func:`mantid_exp2sim.inference.classify.classify`.

        ``data_kind="auto"`` takes the classifier of the kind that the data look more like
        (:func:`mantid_exp2sim.application.opinions.likelier_kind`). A second opinion, the domain check and
        warnings come with it. ``fit`` adds the likelihood of the spin models, in minutes
        (:func:`mantid_exp2sim.application.likelihood.with_likelihood`).
        """
        prepared = self.prepare(data, **options)
        if fit:
            require_fit(prepared)
        data_kind = likelier_kind(prepared, data_kind, deconvolve=deconvolve)
        answer = classify(prepared, data_kind, deconvolve=deconvolve, progress=progress)
        answer = with_warnings(prepared, answer)
        return with_likelihood(prepared, answer, progress=progress) if fit else answer

    def explain(
        self,
        data: Histogram | Prepared,
        *,
        name: str | None = None,
        data_kind: str = "auto",
        deconvolve: bool = False,
        progress: Progress | None = None,
        **options: Any,
    ) -> Attribution:
        """Say what a classifier looks at; see :func:`mantid_exp2sim.inference.attribution.explain`."""
        prepared = self.prepare(data, **options)
        data_kind = likelier_kind(prepared, data_kind, deconvolve=deconvolve)
        return explain(prepared, data_kind, name=name, deconvolve=deconvolve, progress=progress)


def load_model(name_or_path: str | os.PathLike[str] = DEFAULT_MODEL) -> Model:
    """Load a model by its name (:func:`mantid_exp2sim.list_models`) or its folder.

    Networks are read once in a session, and again when the model's card has changed.

    Raises
    ------
    Exp2SimError
        If there is no such model, or it is damaged.

    Examples
    --------
    >>> load_model("no-such-model")
    Traceback (most recent call last):
    ...
    mantid_exp2sim.errors.Exp2SimError: There is no model 'no-such-model'. ...
    """
    return Model(open_bundle(name_or_path))
