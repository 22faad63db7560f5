"""Models of other people, installed after everything in them was loaded once."""

from __future__ import annotations

from pathlib import Path

from mantid_exp2sim.application.model import Model
from mantid_exp2sim.domain.reference import load_reference
from mantid_exp2sim.model.archive import install_bundle
from mantid_exp2sim.model.bundle import Bundle


def install_model(source: str | Path, *, name: str | None = None, overwrite: bool = False) -> Model:
    """Check a model in a folder or a ``.zip`` file and install it among the user's own.

    ``name`` is what it is called here, by default what its card says. With ``overwrite`` it replaces a model
    of the same name. Needs torch, since its networks are built and loaded.

    Raises
    ------
    Exp2SimError
        If it holds anything but the files its card names, a link, a wrong size or checksum, an invalid card,
        or weights that do not fit the networks on the card; if the name is taken; if it cannot be written.

    Examples
    --------
    >>> install_model("no-such-file.zip")
    Traceback (most recent call last):
    ...
    mantid_exp2sim.errors.Exp2SimError: There is no file or folder no-such-file.zip. ...
    """
    return Model(install_bundle(source, load_everything, name=name, overwrite=overwrite))


def load_everything(bundle: Bundle) -> None:
    """Load every network of a model, and its domain: names, shapes and types are those on its card."""
    for key in bundle.card.weights:
        bundle.network(key)
    if bundle.card.domain is not None:
        load_reference(bundle, "deconvolve")
