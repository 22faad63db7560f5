"""Entropic optimal transport between small clouds of points, many pairs at once, solved by POT.

Weights are uniform, the cost is the squared Euclidean distance: ``OT_ε(a, b) = min_P ⟨P, C⟩ + ε KL(P | a⊗b)``
(Cuturi 2013; Peyré and Cuturi 2019, §4).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from mantid_exp2sim.errors import Exp2SimError
from mantid_exp2sim.histogram import Floats

REGULARISATION = 0.05
"""ε over the median cost."""
TOLERANCE = 1e-3
"""Largest total variation between the marginals asked for and reached."""
MAX_ITERATIONS = 5000


class NotConverged(Exp2SimError):
    """No plan was found: the points lie too far from each other for the regularisation."""


def squared_distances(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> Floats:
    """Return squared Euclidean distances (…, n, m) of points (…, n, d) and (…, m, d).

    >>> squared_distances(np.array([[0.0], [2.0]]), np.array([[1.0]])).tolist()
    [[1.0], [1.0]]
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    squares = (a**2).sum(-1)[..., :, None] + (b**2).sum(-1)[..., None, :]
    return np.asarray(np.maximum(squares - 2 * (a @ np.swapaxes(b, -1, -2)), 0.0))


def solve(costs: Floats, regularisation: float, *, tolerance: float = TOLERANCE) -> tuple[Floats, Floats]:
    """Solve B problems of one size, ``costs`` (B, n, m): ⟨P, C⟩ and the dual value OT_ε, each (B,).

    The smallest cost of each row, then of each column, is taken off before and added after: the plan stays,
    and POT's plain Sinkhorn does not underflow, at a tenth of the time that its logarithmic one takes. Where
    it does so still, ε is brought down in steps, and the potentials of each step are taken off (Schmitzer,
    SIAM J. Sci. Comput. 41 (2019) A1443).

    >>> cost, dual = solve(np.array([[[0.0, 1.0], [1.0, 0.0]]]), 0.01)
    >>> round(float(cost[0]), 6), round(float(dual[0]), 4)
    (0.0, 0.0069)
    """
    if not (np.isfinite(costs).all() and regularisation > 0):
        raise Exp2SimError(
            "Optimal transport takes finite costs and a positive regularisation.",
            fix="Check the intensities of the data, or leave the regularisation out.",
        )
    by_row = costs.min(axis=2, keepdims=True)
    potentials = by_row + (costs - by_row).min(axis=1, keepdims=True)
    plan, potentials, wrong = _step(costs, potentials, regularisation, tolerance)
    if not (wrong <= tolerance).all():
        potentials = np.zeros_like(costs)
        steps = max(0, int(np.ceil(np.log(costs.max() / (100 * regularisation)) / np.log(4))))
        for power in range(steps, -1, -1):
            plan, potentials, wrong = _step(costs, potentials, 4.0**power * regularisation, tolerance)
    if not (wrong <= tolerance).all():
        raise NotConverged(
            f"Optimal transport has not converged after {MAX_ITERATIONS} iterations.",
            reason=f"The marginals are off by {float(wrong.max()):.1e}.",
            fix="Use a larger regularisation; of data in another unit, scale the intensity.",
        )
    dual = potentials.mean(axis=(1, 2)) + regularisation * np.log(plan[0].size)
    return (plan * costs).sum(axis=(1, 2)), dual


def _step(
    costs: Floats, potentials: Floats, epsilon: float, tolerance: float
) -> tuple[Floats, Floats, Floats]:
    """Solve with ``potentials`` f + g (B, n, m) taken off: plan, all potentials, and what marginals lack."""
    import ot.batch

    n = costs.shape[1]
    with np.errstate(all="ignore"):  # what overflows has not converged
        solution = ot.batch.solve_batch(
            costs - potentials, epsilon, method="sinkhorn", grad="detach", max_iter=MAX_ITERATIONS,
            tol=2 * tolerance / np.sqrt(n),
        )  # fmt: skip
        wrong = 0.5 * np.abs(solution.plan.sum(axis=2) - 1 / n).sum(axis=1)
        f, g = (epsilon * np.log(scaling) for scaling in solution.potentials)
    return solution.plan, potentials + f[:, :, None] + g[:, None, :], wrong


def sinkhorn_divergence(a: npt.NDArray[Any], b: npt.NDArray[Any], *, regularisation: float) -> Floats:
    """Return OT_ε(a, b) − ½ OT_ε(a, a) − ½ OT_ε(b, b) of B pairs of clouds (B, n, d): (B,), 0 where a = b.

    Debiased (Feydy et al., AISTATS 2019): without the last two terms the distance of a cloud to itself is
    not 0. ``regularisation`` is ε itself, so that distances to one reference can be compared.

    >>> cloud = np.random.default_rng(0).normal(size=(1, 20, 2))
    >>> abs(float(sinkhorn_divergence(cloud, cloud, regularisation=0.1)[0])) < 1e-3
    True
    """
    costs = np.concatenate([squared_distances(a, b), squared_distances(a, a), squared_distances(b, b)])
    between, inside_a, inside_b = solve(costs, regularisation)[1].reshape(3, -1)
    return np.asarray(between - 0.5 * (inside_a + inside_b))
