"""A model built for this machine and loaded into this process, for servers and notebooks.

Knows which target this machine is. A call costs less than a microsecond beside the model's own work.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aprgen.build import load_into_process
from aprgen.core import Artifact
from aprgen.program import Array
from aprgen.runners.shared import SharedImage, why_not_here
from aprgen.target import Target, load_target, target_names


@dataclass(frozen=True, eq=False)
class Native:
    """predict() and classify() as C computes them. inputs: makes rows of other kinds into those that the C takes.

    Contiguous float32 rows are not copied, and Python's other threads run while C computes. threads: how many compute
    at once, or a pool of threads (concurrent.futures); the results do not depend on it.
    """

    artifact: Artifact
    library: SharedImage
    inputs: Callable[[ArrayLike | Sequence[str]], Array]

    @property
    def target(self) -> str:
        return self.artifact.target.name

    def predict(self, rows: ArrayLike | Sequence[str], threads: int | Executor = 1) -> NDArray[np.float32]:
        """Scores, float32 [rows, n_outputs]."""
        found = self.library.scores_as_they_are(rows) if threads == 1 else None
        if found is not None:
            return found
        return self.library.predict(self.inputs(rows), threads)

    def classify(self, rows: ArrayLike | Sequence[str], threads: int | Executor = 1) -> NDArray[np.int32] | None:
        """Original labels, int32 [rows]; None when the model does not classify."""
        found = self.library.labels_as_they_are(rows) if threads == 1 else None
        if found is not None:
            return found
        return self.library.classify(self.inputs(rows), threads)

    run = predict


def load_native(artifact: Artifact, inputs: Callable[[ArrayLike | Sequence[str]], Array], tools: str) -> Native:
    """Built, or from the cache when the same C was built by the same compiler before."""
    return Native(artifact, load_into_process(artifact, tools=tools, kept=True), inputs)


@functools.cache
def target_of_this_machine() -> Target:
    """Of the targets whose code runs here the one that needs most of the CPU; `host` where no other does.

    Not a package of kernels for several CPUs: on one of them it is no faster, and takes longer to build.
    """
    every = [target for target in map(load_target, target_names()) if not target.variants]
    here = [target for target in every if not why_not_here(target)]
    return max(here, key=lambda target: (_demands(target), target.name == "host"))


def _demands(target: Target) -> int:
    """How much a target asks for: a machine, and features of the CPU."""
    rule = next(rule for rule in target.runs if rule.kind == "native")
    return len(rule.needs) + (rule.host_machine != "")
