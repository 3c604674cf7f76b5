"""Missing pass: trees that send missing values left at some splits become plain trees on a row made for them.

A feature whose splits send a NaN both ways stands in that row twice. So no walk and no shape of trees knows of missing
values. Knows no costs and no C.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from aprgen.ops.missing import MissingLow
from aprgen.ops.trees import TreeOp
from aprgen.program import Table


def without_missing(op: TreeOp) -> tuple[tuple[MissingLow, ...], TreeOp]:
    """The op that makes the row, where one is needed, and plain trees on it."""
    nodes = op.nodes
    if nodes.missing_left is None or not nodes.missing_left.data.any():
        return (), replace(op, nodes=replace(nodes, missing_left=None))
    left = nodes.missing_left.data.astype(np.bool_)
    feature = nodes.feature.data.astype(np.int64)
    low, high = np.unique(feature[left]), np.unique(feature[~left])
    columns = np.concatenate([low, high])
    at = np.where(left, np.searchsorted(low, feature), len(low) + np.searchsorted(high, feature))
    plain = replace(nodes, feature=Table(at.astype(np.min_scalar_type(int(at.max())))), missing_left=None)
    made = MissingLow(op.n_features, Table(columns.astype(np.min_scalar_type(int(columns.max())))), len(low))
    return (made,), replace(op, nodes=plain, n_features=len(columns))
