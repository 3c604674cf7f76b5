"""Programs whose trees could leave their tables are refused when they are built."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from aprgen.ops.trees import Nodes, TreeOp
from aprgen.program import Program, Step, Table
from tests.examples import loaded


def with_nodes(program: Program, **tables: Table) -> Program:
    """The Program with other tables of nodes."""
    op = program.steps[0].op
    assert isinstance(op, TreeOp)
    nodes: Nodes = replace(op.nodes, **tables)  # type: ignore[arg-type]
    first = Step(replace(op, nodes=nodes), program.steps[0].inputs)
    return replace(program, steps=(first, *program.steps[1:]))


@pytest.mark.parametrize(
    ("table", "value", "sentence"),
    [
        ("feature", 10, "reads feature 10 of 10"),
        ("left", 0, "has child 0"),
        ("left", 1000, "has child 1000"),
        ("right", 1000, "has child 1000"),
        ("root", 1000, "starts at node 1000"),
    ],
)
def test_an_index_outside_its_table_is_refused(table: str, value: int, sentence: str) -> None:
    """A feature that the row lacks, a child before its parent, and nodes that are not there."""
    program = loaded("dtr").model.lower()
    op = program.steps[0].op
    assert isinstance(op, TreeOp)
    data = getattr(op.nodes, table).data.astype(np.int32)
    data[0] = value
    program.check()

    with pytest.raises(ValueError, match=sentence):
        with_nodes(program, **{table: Table(data)}).check()
