"""Trees of a model: the most steps that all walks of one row can take together, as a limit on the walk loop's body.

Knows which loop of the generated C belongs to which step of the Program; the search is `walks`'s.
"""

from __future__ import annotations

from dataclasses import dataclass

from aprgen.core import Artifact
from aprgen.errors import UnsupportedError
from aprgen.ops.trees import TreeOp
from aprgen.wcet.walks import Walk, worst_row

WALK_SECONDS = 10.0


@dataclass(frozen=True, eq=False)
class Forest:
    """loop: the id of the walk's marks. No row makes the walks of one call take more than walk.upper steps."""

    loop: str
    walk: Walk


def forests(artifact: Artifact, seconds: float = WALK_SECONDS) -> tuple[Forest, ...]:
    """One per step that walks trees over the model's own features; the others keep the bound by depth."""
    found = []
    for index, step in enumerate(artifact.program.steps):
        if not isinstance(step.op, TreeOp) or step.op.nodes.n_nodes == 0:
            continue
        try:
            walk = worst_row(artifact.program, index, seconds=seconds)
        except UnsupportedError:  # the trees read computed values: depth still bounds them
            continue
        function = f"{artifact.name}_{index}_{step.op.kernel.rsplit('_', 1)[0]}"
        found.append(Forest(f"{function}_walk", walk))
    return tuple(found)
