"""A spin model in words: the TOML description of a user's own material.

Lattice, magnetic cell, sites, bonds, anisotropy, named parameters with their ranges, twins, form factors and
how the crystal stands in the beam. Energies in meV, lengths in Å, angles in degrees, fields in T. The
Hamiltonian is ``H = Σ_bonds S_i·J·S_j + Σ_i S_i·A·S_i + μ_B Σ_i B·g·S_i``, each bond counted once: J > 0 is
antiferromagnetic, D > 0 in D (n·S)² makes n a hard axis. Moments, whose directions are described, are
opposite to spins, as those of electrons are: a field turns moments towards it.
`mantid_exp2sim.simulation.crystal` makes numbers of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, model_validator
from scipy.spatial.transform import Rotation

from mantid_exp2sim.errors import Exp2SimError, did_you_mean
from mantid_exp2sim.histogram import Floats, Projection
from mantid_exp2sim.simulation.excitations import Excitations
from mantid_exp2sim.storage.toml import read_toml

Finite = Annotated[float, Field(allow_inf_nan=False)]
Vector = tuple[Finite, Finite, Finite]
Matrix = tuple[Vector, Vector, Vector]
Integers = tuple[int, int, int]
Name = Annotated[str, Field(min_length=1, max_length=60)]
Coefficients = tuple[Finite, Finite, Finite, Finite, Finite, Finite, Finite]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Lattice(_Settings):
    """``[lattice]``: the cell in whose reciprocal units h, k and l are given."""

    a: PositiveFloat
    b: PositiveFloat
    c: PositiveFloat
    alpha: float = Field(default=90.0, gt=0, lt=180)
    beta: float = Field(default=90.0, gt=0, lt=180)
    gamma: float = Field(default=90.0, gt=0, lt=180)

    @property
    def cell(self) -> tuple[float, ...]:
        """a, b, c in Å, alpha, beta, gamma in degrees."""
        return self.a, self.b, self.c, self.alpha, self.beta, self.gamma

    def vectors(self) -> Floats:
        """Return rows a, b, c in Å, Cartesian: x along a, y in the plane of a and b.

        >>> Lattice(a=1, b=2, c=3).vectors().round(12).tolist()
        [[1.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 3.0]]
        """
        ca, cb, cg = np.cos(np.radians([self.alpha, self.beta, self.gamma]))
        sg = np.sin(np.radians(self.gamma))
        y = (ca - cb * cg) / sg
        height = 1 - cb**2 - y**2
        if height <= 1e-9:
            raise Exp2SimError(
                f"No cell has the angles {self.alpha}, {self.beta} and {self.gamma} degrees.",
                fix="Correct the angles in [lattice].",
            )
        return np.array(
            [
                [self.a, 0, 0],
                [self.b * cg, self.b * sg, 0],
                [self.c * cb, self.c * y, self.c * np.sqrt(height)],
            ]
        )


class Parameter(_Settings):
    """``[parameters.NAME]``: a constant in meV, and the range that data sets draw it from."""

    value: Finite
    range: tuple[Finite, Finite] | None = None
    """Uniform; none: always ``value``."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.range is not None and self.range[0] > self.range[1]:
            raise ValueError(f"the range {self.range} is not ascending")
        return self


class Site(_Settings):
    """``[[sites]]``: spins of one ion that point the same way."""

    name: Name
    """What bonds and anisotropies call it; several blocks may share a name."""
    ion: Name
    spin: PositiveFloat
    direction: Vector
    """Of the moment, along u·a + v·b + w·c; its length does not matter."""
    positions: tuple[Vector, ...] = Field(min_length=1, max_length=256)
    propagation: Vector | None = None
    """Propagation vector in r.l.u. of the lattice. With it the site is repeated in every lattice cell of the
    magnetic cell, its moment turned by 2π k·R; without it the positions are all there are."""
    axis: Vector | None = None
    """Axis (u, v, w) about which ``propagation`` turns the moment; none: it changes its sign."""
    g: PositiveFloat | Matrix = 2.0
    """Number or Cartesian tensor."""


class Bond(_Settings):
    """``[[bonds]]``: which pairs of sites one parameter couples. One of shell, distance and vectors.

    The coupling is the parameter times ``components``, ``matrix`` or ``dm``; Cartesian: x along a, z normal
    to a and b. A pair may have one isotropic exchange and several others; they add up.
    """

    parameter: Name
    shell: int | None = Field(default=None, ge=1, le=50)
    """The n-th distance (1: the nearest) among the pairs that ``between`` and ``spins`` leave."""
    distance: tuple[PositiveFloat, PositiveFloat] | None = None
    """From, to in Å."""
    vectors: tuple[Vector, ...] | None = Field(default=None, min_length=1, max_length=64)
    """From a site named ``between[0]`` to one named ``between[1]``, in the units of the positions."""
    between: tuple[Name, Name] | None = None
    """Names or ions of the two ends; none: all."""
    spins: Literal["parallel", "antiparallel"] | None = None
    factor: Finite = 1.0
    components: Vector | None = None
    """Factors of the x, y and z products of the spins; none of the three: isotropic."""
    matrix: Matrix | None = None
    """Exchange matrix M: S_i·M·S_j with i the start of the bond and j its end."""
    dm: Vector | None = None
    """Dzyaloshinskii-Moriya vector D: D·(S_i × S_j)."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        ways = [name for name in ("shell", "distance", "vectors") if getattr(self, name) is not None]
        if len(ways) != 1:
            raise ValueError(f"give one of shell, distance and vectors, not {ways or 'none'}")
        if self.distance is not None and self.distance[0] > self.distance[1]:
            raise ValueError(f"the distances {self.distance} are not ascending")
        forms = [name for name in ("components", "matrix", "dm") if getattr(self, name) is not None]
        if len(forms) > 1:
            raise ValueError(f"give one of components, matrix and dm, not {forms}")
        return self

    @property
    def is_isotropic(self) -> bool:
        """Whether it couples by a number, or one for each of x, y and z."""
        return self.matrix is None and self.dm is None

    def exchange(self) -> Floats:
        """Return the matrix (3, 3) of the coupling per meV of the parameter.

        >>> bond = Bond(parameter="D", shell=1, dm=(0, 0, 1))
        >>> float(np.array([1.0, 0, 0]) @ bond.exchange() @ np.array([0.0, 1, 0]))
        1.0
        """
        if self.dm is not None:
            x, y, z = self.dm
            return self.factor * np.array([[0.0, z, -y], [-z, 0.0, x], [y, -x, 0.0]])
        if self.matrix is not None:
            return self.factor * np.array(self.matrix)
        return self.factor * np.diag(self.components or (1.0, 1.0, 1.0))


class Anisotropy(_Settings):
    """``[[anisotropy]]``: D (n·S)² with n along u·a + v·b + w·c, or D S·M·S with a Cartesian matrix M.

    D > 0 makes n a hard axis, D < 0 an easy one.
    """

    parameter: Name
    axis: Vector | None = None
    matrix: Matrix | None = None
    sites: tuple[Name, ...] | None = None
    """Names or ions; none: all."""
    factor: Finite = 1.0

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.axis is None) == (self.matrix is None):
            raise ValueError("give one of axis and matrix")
        if self.matrix is not None and not np.allclose(self.matrix, np.transpose(self.matrix)):
            raise ValueError("the matrix of an anisotropy is symmetric; this one is not")
        return self


class MagneticField(_Settings):
    """``[field]``: a magnetic field that turns moments towards it."""

    tesla: Finite
    direction: Vector
    """Along u·a + v·b + w·c; its length does not matter."""


class Spiral(_Settings):
    """``[rotating_frame]``: the moments of ``[[sites]]`` are those of the first magnetic cell, and turn by
    2π k·R about an axis from there to the cell at R; k need not be commensurate.
    """

    propagation: Vector
    """k in r.l.u. of the lattice."""
    axis: Vector
    """Along u·a + v·b + w·c."""


class TwinSettings(_Settings):
    """``[[twins]]``: a twin of the crystal, turned by a rotation or with its axes exchanged."""

    weight: PositiveFloat = 1.0
    """Its volume, in any unit."""
    angle: Finite | None = None
    """Degrees by which the first twin turns about ``about`` into this one."""
    about: Vector = (0.0, 0.0, 1.0)
    """Cartesian: x along a, z normal to a and b."""
    rotation: Matrix | None = None
    """Orthogonal Cartesian matrix that turns the first twin into this one."""
    axes: str | None = None
    """Where the axes a, b, c of this twin point in the first one's Cartesian frame, such as "y,x,z" or
    "-y,x,z" for x along a, z normal to a and b."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        ways = [name for name in ("angle", "rotation", "axes") if getattr(self, name) is not None]
        if len(ways) > 1:
            raise ValueError(f"give one of angle, rotation and axes, not {ways}")
        if self.angle is not None and not any(self.about):
            raise ValueError("about has no length: give the direction of the axis of the angle")
        matrix = self.matrix()
        if not np.allclose(matrix @ matrix.T, np.eye(3), atol=1e-6):
            raise ValueError("the rotation is not an orthogonal matrix")
        return self

    def matrix(self) -> Floats:
        """Return the rotation (3, 3): a vector v of the first twin is matrix @ v in this one.

        >>> TwinSettings(axes="y,x,z").matrix().tolist()
        [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
        """
        if self.rotation is not None:
            return np.array(self.rotation, dtype=float)
        if self.angle is not None:
            turn = np.radians(self.angle) * np.array(self.about) / np.linalg.norm(self.about)
            return Rotation.from_rotvec(turn).as_matrix()
        matrix = np.zeros((3, 3))
        names = (self.axes or "x,y,z").replace(" ", "").split(",")
        if sorted(name.lstrip("-") for name in names) != ["x", "y", "z"]:
            raise ValueError(f"{self.axes!r} is not a permutation of x, y and z such as 'y,x,z'")
        for column, name in enumerate(names):
            matrix["xyz".index(name[-1]), column] = -1.0 if name.startswith("-") else 1.0
        return matrix


class View(_Settings):
    """``[view]``: the two axes of a volume, in r.l.u.; they are normal to each other, and ki to both."""

    horizontal: Vector = (1.0, 0.0, 0.0)
    vertical: Vector = (0.0, 1.0, 0.0)

    def projection(self, lattice: Lattice) -> Projection:
        """Return the two axes, and as the third direction what is normal to both."""
        cell = lattice.vectors()
        reciprocal = np.linalg.inv(cell).T
        normal = np.cross(np.array(self.horizontal) @ reciprocal, np.array(self.vertical) @ reciprocal)
        steps = normal @ cell.T
        size = float(np.abs(steps).max()) or 1.0
        third = tuple((np.round(steps / size, 9) + 0.0).tolist())
        return Projection(self.horizontal, self.vertical, third)


class Description(_Settings):
    """A spin model as a TOML file holds it."""

    name: Name
    note: str = ""
    lattice: Lattice
    magnetic_cell: tuple[Integers, Integers, Integers] = ((1, 0, 0), (0, 1, 0), (0, 0, 1))
    """Rows: the axes of the magnetic cell in units of a, b, c."""
    positions_in: Literal["lattice", "magnetic_cell"] = "lattice"
    """Units of ``positions`` and ``vectors``."""
    formula_units: PositiveFloat = 1.0
    """In one cell of the lattice: intensities are per formula unit."""
    sites: tuple[Site, ...] = Field(min_length=1, max_length=256)
    bonds: tuple[Bond, ...] = Field(min_length=1, max_length=256)
    anisotropy: tuple[Anisotropy, ...] = Field(default=(), max_length=64)
    parameters: dict[Name, Parameter] = Field(min_length=1, max_length=64)
    field: MagneticField | None = None
    rotating_frame: Spiral | None = None
    twins: tuple[TwinSettings, ...] = Field(default=(TwinSettings(),), min_length=1, max_length=48)
    view: View = View()
    excitations: Excitations = Excitations()
    form_factors: dict[Name, Coefficients] = {}
    """Own coefficients A, a, B, b, C, c, D of ⟨j0⟩ by ion."""

    @model_validator(mode="after")
    def _one_spiral(self) -> Self:
        if self.rotating_frame and any(site.propagation is not None for site in self.sites):
            raise ValueError("give rotating_frame or the propagation of sites, not both")
        return self

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        used = [bond.parameter for bond in self.bonds] + [term.parameter for term in self.anisotropy]
        for name in used:
            if name not in self.parameters:
                raise ValueError(f"{name!r} is not among the parameters {list(self.parameters)}")
        for name in self.parameters:
            if name not in used:
                raise ValueError(f"the parameter {name!r} is used by no bond and no anisotropy")
        places = {site.name for site in self.sites} | {site.ion for site in self.sites}
        ends = [name for bond in self.bonds for name in bond.between or ()]
        for name in ends + [name for term in self.anisotropy for name in term.sites or ()]:
            if name not in places:
                raise ValueError(f"{name!r} is no name and no ion of a site; there are {sorted(places)}")
        return self

    @property
    def projection(self) -> Projection:
        """The axes of view, and as the third direction what is normal to both."""
        return self.view.projection(self.lattice)

    def viewed(self, horizontal: Vector, vertical: Vector) -> Description:
        """Return the same model with other axes of view, in r.l.u."""
        return self.model_copy(update={"view": View(horizontal=horizontal, vertical=vertical)})

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters in the order of the file."""
        return tuple(self.parameters)

    @property
    def values(self) -> tuple[float, ...]:
        """Their values, in meV."""
        return tuple(parameter.value for parameter in self.parameters.values())

    @property
    def ranges(self) -> tuple[tuple[float, float], ...]:
        """Their ranges, in meV; a fixed one has no width."""
        return tuple(p.range or (p.value, p.value) for p in self.parameters.values())

    def with_ranges(self, ranges: dict[str, tuple[float, float]]) -> Description:
        """Return the same model with other ranges of some parameters (meV), each with its value inside."""
        changed = dict(self.parameters)
        for name, span in ranges.items():
            self._validate_names([name])
            value = min(max(changed[name].value, span[0]), span[1])
            changed[name] = Parameter(value=value, range=span)
        return self.model_copy(update={"parameters": changed})

    def with_values(self, values: dict[str, float]) -> tuple[float, ...]:
        """Return the parameters in order, some replaced by ``values``; `Exp2SimError` for an unknown name."""
        self._validate_names(values)
        return tuple(values.get(name, p.value) for name, p in self.parameters.items())

    def _validate_names(self, names: Iterable[str]) -> None:
        for name in names:
            if name not in self.parameters:
                raise Exp2SimError(
                    f"The model {self.name} has no parameter {name!r}.",
                    fix=f"Choose among {list(self.parameters)}.",
                )


def shipped() -> dict[str, Path]:
    """List the descriptions that come with the project, by name.

    >>> "rb2mnf4" in shipped()
    True
    """
    folder = Path(str(files("mantid_exp2sim.simulation"))) / "materials"
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def find_description(name: str, beside: Path | None = None) -> Path:
    """Find the file of a description: a path, also relative to ``beside``, or a shipped name."""
    for path in (Path(name), (beside or Path()) / name):
        if path.is_file():
            return path
    installed = shipped()
    if name.removesuffix(".toml") in installed:
        return installed[name.removesuffix(".toml")]
    raise Exp2SimError(
        f"There is no description {name!r}.",
        reason=f"It is no file, and the shipped ones are {', '.join(installed)}.",
        fix=f"{did_you_mean(name, installed)}Give the path of a TOML file or one of these names.",
    )


def read_description(path: Path) -> Description:
    """Read a description; `Exp2SimError` where it is missing, no TOML, or has wrong or unknown keys."""
    fix = "What a description of a spin model holds is told in docs/simulate.md."
    return read_toml(path, Description, what="description", fix=fix)
