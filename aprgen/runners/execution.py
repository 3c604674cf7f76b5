"""What a run gives back, whatever ran it. Knows nothing of emulators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from aprgen.image import Image

Records = NDArray[np.float32] | Sequence[str] | Sequence[bytes]

RUN_SECONDS = 120.0


@dataclass(frozen=True)
class Suggestion:
    text: str
    score: float


@dataclass(frozen=True, eq=False)
class Counts:
    """What one function executed per record. rows: indices of the records that were counted, ascending."""

    rows: NDArray[np.int64]
    values: NDArray[np.uint64]
    unit: str  # "instructions" or "wasm operators"


@dataclass(frozen=True, eq=False)
class BatchOutput:
    """What the functions of many rows gave."""

    scores: NDArray[np.float32]
    labels: NDArray[np.int32] | None


@dataclass(frozen=True, eq=False)
class Execution:
    """The outputs of a run and what was measured on the way.

    scores: [records, n_outputs]; [records, 0] for a model that suggests. instructions: per function, counted from its
    first instruction until control is back in the caller; empty when nothing was counted, and `uncounted` says why.
    stack_bytes: per function, from the caller's stack pointer to the lowest byte that was written.
    """

    scores: NDArray[np.float32]
    labels: NDArray[np.int32] | None
    suggestions: tuple[tuple[Suggestion, ...], ...] | None
    instructions: Mapping[str, Counts]
    uncounted: str
    stack_bytes: Mapping[str, int]
    runner: str
    notes: tuple[str, ...] = ()
    batch: BatchOutput | None = None  # None where they repeat the functions of one row

    @property
    def predict(self) -> NDArray[np.float32]:
        """The scores, by the name they have in a results file."""
        return self.scores

    @property
    def classify(self) -> NDArray[np.int32] | None:
        """The labels, by the name they have in a results file."""
        return self.labels


class Runner(Protocol):
    """Runs images of one target."""

    @property
    def description(self) -> str:
        """What runs the image: "qemu-system-arm, mps2-an386"."""
        ...

    def run(
        self, image: Image, records: Records, *, count: bool = True, seconds: float = RUN_SECONDS
    ) -> Execution:
        """Run all records. A crash, a fault, a hang or a short output is a ToolchainError."""
        ...
