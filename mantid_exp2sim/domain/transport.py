"""Optimal transport between small clouds of points, many pairs at once, in the log domain.

Every problem here is the entropic one with uniform weights and squared Euclidean cost,
``OT_ε(a, b) = min_P ⟨P, C⟩ + ε KL(P | a⊗b)`` (Cuturi 2013; Peyré and Cuturi 2019, §4), solved by Sinkhorn's
iteration on the potentials: it neither overflows nor underflows whatever ε is. POT solves one pair after the
other and takes seconds to import; it is what the tests compare with.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mantid_exp2sim.errors import Exp2SimError

Floats = npt.NDArray[np.float64]

REGULARISATION = 0.05
"""ε over the median cost."""
TOLERANCE = 1e-4
"""Largest total variation between the marginals wanted and reached at which an iteration is converged."""
MAX_ITERATIONS = 5000
INNER = 20
"""Plain steps between two in the log domain."""
TINY = 1e-200


@dataclass(frozen=True, slots=True, eq=False)
class Transport:
    """Solutions of B problems: ``cost`` ⟨P, C⟩ and ``dual`` value (the entropic cost), float64 (B,);
    ``marginal_error`` (B,), total variation.
    """

    cost: Floats
    dual: Floats
    marginal_error: Floats


def squared_distances(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> Floats:
    """Squared Euclidean distances (…, n, m) of points (…, n, d) and (…, m, d).

    >>> squared_distances(np.array([[0.0], [2.0]]), np.array([[1.0]])).tolist()
    [[1.0], [1.0]]
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    inner = a @ np.swapaxes(b, -1, -2)
    found = (a**2).sum(-1)[..., :, None] + (b**2).sum(-1)[..., None, :] - 2 * inner
    return np.asarray(np.maximum(found, 0.0))


class NotConverged(Exp2SimError):
    """No plan was found: the points lie too far from each other for the regularisation."""


def sinkhorn(
    cost: npt.NDArray[Any],
    regularisation: float | npt.NDArray[Any],
    *,
    tolerance: float = TOLERANCE,
    max_iterations: int = MAX_ITERATIONS,
) -> Transport:
    """Solve B problems of the same size: ``cost`` (B, n, m), ε a number or (B,).

    All are iterated together, in log-domain steps with plain scaling in between (absorption: Schmitzer, SIAM
    J. Sci. Comput. 41 (2019) A1443), and each until it has converged; `Exp2SimError` if one has not after
    ``max_iterations``.

    >>> one = sinkhorn(np.array([[[0.0, 1.0], [1.0, 0.0]]]), 0.01)
    >>> round(float(one.cost[0]), 6), bool(one.marginal_error[0] < 1e-4)
    (0.0, True)
    """
    epsilon = np.broadcast_to(np.asarray(regularisation, dtype=np.float64), cost.shape[:1])
    if not (np.isfinite(cost).all() and (epsilon > 0).all()):
        raise Exp2SimError("Optimal transport takes finite costs and a positive regularisation.")
    n, m = cost.shape[1:]
    kernel = -np.asarray(cost, dtype=np.float64) / epsilon[:, None, None]
    f, g = np.zeros((len(kernel), n)), np.zeros((len(kernel), m))
    error, active = np.full(len(kernel), np.inf), np.arange(len(kernel))
    for _ in range(0, max_iterations + 1, INNER):
        part = kernel[active]
        f[active] = np.log(m) - _logsumexp(part + g[active][:, None, :], 2)
        columns = np.log(n) - _logsumexp(part + f[active][:, :, None], 1)
        error[active] = 0.5 * np.abs(np.exp(g[active] - columns) - 1.0).mean(axis=1)
        if (error <= tolerance).all():
            break  # f belongs to g: the rows of the plan are exact, its columns within the error
        wrong = error[active] > tolerance
        active, part, columns = active[wrong], part[wrong], columns[wrong]
        scaled_f, scaled_g = _scale(np.exp(part + f[active][:, :, None] + columns[:, None, :]))
        f[active], g[active] = f[active] + scaled_f, columns + scaled_g
    else:
        raise NotConverged(
            f"Optimal transport has not converged after {max_iterations} iterations.",
            reason=f"The marginals are off by {float(error.max()):.1e}.",
            fix="Use a larger regularisation; of data in another unit, scale the intensity.",
        )
    plan = np.exp(kernel + f[:, :, None] + g[:, None, :]) / (n * m)
    dual = epsilon * (f.mean(axis=1) + g.mean(axis=1))
    return Transport((plan * cost).sum(axis=(1, 2)), dual, error)


def _scale(plan: Floats) -> tuple[Floats, Floats]:
    """Plain Sinkhorn steps on a plan (B, n, m) whose columns are right; logarithms of both scalings."""
    n, m = plan.shape[1:]
    v = np.ones((len(plan), m, 1))
    u = np.ones((len(plan), n, 1))
    turned = np.swapaxes(plan, 1, 2)
    for _ in range(INNER):
        u = m / np.maximum(plan @ v, TINY)
        v = n / np.maximum(turned @ u, TINY)
    return np.log(u[..., 0]), np.log(v[..., 0])


def _logsumexp(values: Floats, axis: int) -> Floats:
    top = values.max(axis=axis, keepdims=True)
    summed: Floats = np.log(np.exp(values - top).sum(axis=axis)) + top.squeeze(axis)
    return summed


def sinkhorn_divergence(
    a: npt.NDArray[Any], b: npt.NDArray[Any], *, regularisation: float, tolerance: float = 1e-3
) -> Floats:
    """OT_ε(a, b) − ½ OT_ε(a, a) − ½ OT_ε(b, b) of B pairs of clouds (B, n, d): float64 (B,), 0 where a = b.

    Debiased (Feydy et al., AISTATS 2019): without the last two terms the distance of a cloud to itself is
    not 0. ``regularisation`` is ε itself, so that distances to one reference can be compared.

    >>> cloud = np.random.default_rng(0).normal(size=(1, 20, 2))
    >>> abs(float(sinkhorn_divergence(cloud, cloud, regularisation=0.1)[0])) < 1e-3
    True
    """
    problems = np.concatenate([squared_distances(a, b), squared_distances(a, a), squared_distances(b, b)])
    found = sinkhorn(problems, regularisation, tolerance=tolerance).dual.reshape(3, -1)
    divergence: Floats = found[0] - 0.5 * (found[1] + found[2])
    return divergence


def published_distribution(
    new: npt.NDArray[Any],
    reference: npt.NDArray[Any],
    *,
    size: int = 20,
    repeats: int = 1000,
    seed: int = 0,
    regularisation: float | None = None,
) -> Floats:
    """The published comparison: ``repeats`` times, ``size`` points of ``new`` against ``size`` of
    ``reference``.

    float64 (repeats,) costs ⟨P, C⟩. As in Anker et al. 2023, but with the same number of points on both
    sides, and converged: ε is 0.05 of the median cost where the published 0.1 on costs of 1e5 is not
    reached. ``new`` (n, d), ``reference`` (m, d), both at least ``size``.

    >>> points = np.random.default_rng(1).normal(size=(50, 3))
    >>> published_distribution(points, points + 5, repeats=4).shape
    (4,)
    """
    if min(len(new), len(reference)) < size:
        raise Exp2SimError(f"{size} points against {size} need as many.")
    rng = np.random.default_rng([seed, size, repeats])
    picked = [
        rng.permuted(np.tile(np.arange(len(x)), (repeats, 1)), axis=1)[:, :size] for x in (new, reference)
    ]
    costs = squared_distances(np.asarray(new)[picked[0]], np.asarray(reference)[picked[1]])
    epsilon = REGULARISATION * float(np.median(costs)) if regularisation is None else regularisation
    if not epsilon > 0:
        return np.zeros(repeats)
    return sinkhorn(costs, epsilon).cost
