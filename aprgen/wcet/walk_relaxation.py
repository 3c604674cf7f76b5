"""How much any row in a box of cells can cost at most, all trees together: an upper bound in exact integers.

A linear program proposes a price for each link between a tree and a feature; with the prices fixed, trees and features
separate and the bound is a sum of maxima. That holds for any prices, so nothing rests on the solver's rounding.
Knows paths and boxes; knows nothing of witnesses or of how boxes are chosen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aprgen.wcet.solver import scipy_part
from aprgen.wcet.walk_paths import Ints, Paths

Reals = NDArray[np.float64]

PRICE_BITS = 20  # prices are multiples of 2^-20, coarser for enormous weights
WORD_BITS = 60  # sums of scaled integers stay below 2^60


@dataclass(frozen=True, eq=False)
class Links:
    """What couples trees to features. Variable i < paths: path i is taken; then, per axis, for every cut in its range:
    the row's cell is at or before the cut. A link: the sum of its terms, each a variable or its negative, is <= limit.

    A link sums the paths of one tree that need a cell at or before a cut, or the paths that need one after it.
    """

    link: Ints  # [terms]
    variable: Ints  # [terms]
    factor: Ints  # [terms], 1 or -1
    limit: Ints  # [links]
    first: Ints  # [axes + 1], where each axis's cuts start among the variables


@dataclass(frozen=True, eq=False)
class Relaxation:
    """bound: no row in the box costs more. at_or_before[i], for cut i: how much the program wants the row before it.

    worth[i]: how much the bound hangs on cut i. first: where each axis's cuts start.
    """

    bound: int
    at_or_before: Reals
    worth: Reals
    first: Ints


def restrict(paths: Paths, low: Ints, high: Ints) -> Paths:
    """The paths that a row in the box can take, without the conditions that the box implies."""
    apart = (paths.low > high[paths.axis]) | (paths.high < low[paths.axis])
    kept = np.bincount(paths.at[apart], minlength=paths.n_paths) == 0
    below = np.maximum(paths.low, low[paths.axis])
    above = np.minimum(paths.high, high[paths.axis])
    binding = kept[paths.at] & ((below > low[paths.axis]) | (above < high[paths.axis]))
    return Paths(
        paths.cells,
        paths.n_trees,
        paths.tree[kept],
        paths.weight[kept],
        (np.cumsum(kept) - 1)[paths.at[binding]],
        paths.axis[binding],
        below[binding],
        above[binding],
    )


def link(paths: Paths, low: Ints, high: Ints) -> Links:
    """The links of paths that are restricted to the box."""
    first = paths.n_paths + np.concatenate([[0], np.cumsum(high - low)]).astype(np.int64)
    rows: list[Ints] = []
    columns: list[Ints] = []
    values: list[Ints] = []
    limits: list[Ints] = []
    n_rows = 0
    for before in (True, False):
        binding = np.flatnonzero(paths.high < high[paths.axis] if before else paths.low > low[paths.axis])
        # As `before` all paths that end at or before a cut; mirrored, all that start after it.
        cut = paths.high[binding] if before else paths.low[binding] - 1
        rank = cut if before else -cut
        tree, axis = paths.tree[paths.at[binding]], paths.axis[binding]
        order = np.lexsort((rank, axis, tree))
        if not len(order):
            continue
        tree, axis, cut, path = tree[order], axis[order], cut[order], paths.at[binding][order]
        new_group = np.append(True, (np.diff(tree) != 0) | (np.diff(axis) != 0))
        starts = np.flatnonzero(new_group | np.append(True, np.diff(cut) != 0))
        group = np.flatnonzero(new_group)[np.cumsum(new_group)[starts] - 1]
        size = np.append(starts[1:], len(order)) - group  # a row holds its group up to its own cut
        members = np.arange(size.sum()) - np.repeat(np.cumsum(size) - size - group, size)
        number = n_rows + np.arange(len(starts))
        rows += [np.repeat(number, size), number]
        columns += [path[members], first[axis[starts]] + cut[starts] - low[axis[starts]]]
        values += [np.ones(len(members), np.int64), np.full(len(starts), -1 if before else 1, np.int64)]
        limits.append(np.full(len(starts), 0 if before else 1, np.int64))
        n_rows += len(starts)
    nothing = np.zeros(0, np.int64)
    of_link, variable, factor, limit = (np.concatenate([nothing, *part]) for part in (rows, columns, values, limits))
    return Links(of_link, variable, factor, limit, first)


def price_bits(paths: Paths, links: Links) -> int:
    """As fine as prices can be while all sums fit in 60 bits."""
    spread = int(np.abs(paths.weight).max(initial=0)) + 1
    terms = len(links.link) + paths.n_trees + 1
    bits = WORD_BITS - (2 * spread * terms).bit_length()
    if bits < 0:
        raise ValueError(f"weights up to {spread} are too large for {terms} terms")
    return min(PRICE_BITS, bits)


def priced_bound(paths: Paths, links: Links, prices: Ints, bits: int) -> int:
    """Weak duality: at any prices >= 0, in units of 2^-bits, no row in the box costs more than this.

    Adding price * (limit - sum), which is >= 0, to what a row costs leaves one maximum per tree over
    its paths and one per feature over its cells.
    """
    charge = np.zeros(int(links.first[-1]), np.int64)
    np.add.at(charge, links.variable, links.factor * prices[links.link])
    worth = (paths.weight << bits) - charge[: paths.n_paths]
    total: int = int(np.maximum.reduceat(worth, paths.starts()).sum()) + int(prices @ links.limit)
    for start, end in zip(links.first[:-1], links.first[1:], strict=True):
        # In cell c exactly the cuts at or after c hold; in the last cell none.
        total += max(0, int(np.cumsum(-charge[start:end][::-1]).max(initial=0)))
    return int(total >> bits)


def relax(paths: Paths, low: Ints, high: Ints, *, seconds: float) -> Relaxation:
    """The bound of paths that are restricted to the box. When the solver runs out of time, a weak but sound one."""
    links = link(paths, low, high)
    bits = price_bits(paths, links)
    proposed, wanted = _propose(paths, links, seconds)
    dearest = float(2 * np.abs(paths.weight).max(initial=0) + 1)  # a price beyond that never helps
    prices = np.rint(np.clip(np.nan_to_num(proposed), 0, dearest) * 2.0**bits).astype(np.int64)
    bound = min(paths.dearest(), priced_bound(paths, links, prices, bits))
    cuts = links.variable >= paths.n_paths
    worth = np.bincount(
        links.variable[cuts] - paths.n_paths, weights=prices[links.link[cuts]], minlength=len(wanted)
    ).astype(np.float64)
    return Relaxation(bound, wanted, worth, links.first - paths.n_paths)


def _propose(paths: Paths, links: Links, seconds: float) -> tuple[Reals, Reals]:
    """The linear program's price of every link, and its value of every cut; when it does not answer, 0 and a half."""
    optimize, sparse = scipy_part("optimize"), scipy_part("sparse")
    n_paths, n_variables, n_links = paths.n_paths, int(links.first[-1]), len(links.limit)
    last = np.zeros(n_variables, np.bool_)
    last[links.first[1:] - 1] = True
    chained = np.flatnonzero(~last[n_paths:]) + n_paths  # at or before a cut: also at or before the axis's next cut
    steps = np.arange(len(chained))
    ones = np.ones(len(chained))
    chain = sparse.csr_matrix(
        (np.concatenate([ones, -ones]), (np.tile(steps, 2), np.concatenate([chained, chained + 1]))),
        shape=(len(chained), n_variables),
    )
    terms = sparse.csr_matrix((links.factor, (links.link, links.variable)), shape=(n_links, n_variables))
    one_path = sparse.csr_matrix(
        (np.ones(n_paths), (paths.tree, np.arange(n_paths))), shape=(paths.n_trees, n_variables)
    )
    answer = optimize.linprog(
        -np.concatenate([paths.weight, np.zeros(n_variables - n_paths)]),
        A_ub=sparse.vstack([terms, chain]),
        b_ub=np.concatenate([links.limit, np.zeros(len(chained))]),
        A_eq=one_path,
        b_eq=np.ones(paths.n_trees),
        bounds=(0, 1),
        method="highs",
        options={"time_limit": max(seconds, 0.01)},
    )
    if answer.status != 0:
        return np.zeros(n_links), np.full(n_variables - n_paths, 0.5)
    return -np.asarray(answer.ineqlin.marginals[:n_links]), np.clip(answer.x[n_paths:], 0, 1)
