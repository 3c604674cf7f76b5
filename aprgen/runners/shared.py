"""The model as a shared library in this process: NumPy arrays go in and out of the C without a copy.

Knows the batch functions of the C interface. Nothing protects this process from a fault in the C, so it is for C that
aprgen made; a program of its own is what `native` runs.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aprgen.errors import ToolchainError, UnsupportedError
from aprgen.image import ModelFacts, build_shared
from aprgen.runners.execution import Records
from aprgen.runners.native import find_native
from aprgen.runners.records import rows_of, texts_of
from aprgen.target import Target
from aprgen.toolchain import Toolchain

_POINTER = ctypes.c_void_p


class SharedImage:
    """A loaded library. It stays loaded as long as the process."""

    def __init__(self, library: Path, model: ModelFacts) -> None:
        self.model = model
        try:
            self._library = ctypes.CDLL(str(library.resolve()))
            self._functions = {name: self._function(name) for name in _wanted(model)}
        except (OSError, AttributeError) as error:
            raise ToolchainError(
                "shared.load", f"the shared library cannot be used: {error}", where=library.name,
                hint="it must be built for this machine, and define the batch functions",
            ) from error  # fmt: skip

    def predict(self, records: Records) -> NDArray[np.float32]:
        """Scores, float32 [records, n_outputs]; float32 rows that are contiguous are not copied."""
        if self.model.kind == "row":
            rows = rows_of(self.model, records)
            out = np.empty((len(rows), self.model.n_outputs), np.float32)
            self._functions["predict_batch"](rows.ctypes.data, len(rows), out.ctypes.data)
            return out
        if self.model.kind == "prefix":
            raise UnsupportedError(
                "shared.prefix", f"model {self.model.name} suggests, it does not predict", where="predict()",
                hint="build an image and run it",
            )  # fmt: skip
        texts = texts_of(self.model, records)
        out = np.empty((len(texts), self.model.n_outputs), np.float32)
        for number, text in enumerate(texts):
            self._functions["scores_text"](text, len(text), out[number].ctypes.data)
        return out

    def classify(self, records: Records) -> NDArray[np.int32] | None:
        """Labels, int32 [records]; None when the model does not classify."""
        if not self.model.has_classify:
            return None
        rows = rows_of(self.model, records)
        labels = np.empty(len(rows), np.int32)
        self._functions["classify_batch"](rows.ctypes.data, len(rows), labels.ctypes.data)
        return labels

    def _function(self, name: str) -> Callable[[int | bytes, int, int], None]:
        function = getattr(self._library, self.model.symbol(name))
        first = ctypes.c_char_p if name == "scores_text" else _POINTER
        function.argtypes = (first, ctypes.c_size_t, _POINTER)
        function.restype = None
        call: Callable[[int | bytes, int, int], None] = function
        return call


def load_shared(
    target: Target, toolchain: Toolchain, sources: Mapping[str, str | bytes], model: ModelFacts, work: Path
) -> SharedImage:
    """Build and load; a target that this machine is not, or a CPU that lacks what it needs, is a ToolchainError."""
    rule = next((rule for rule in target.runs if rule.kind == "native"), None)
    reason = "it never runs natively" if rule is None else find_native(target, rule, None)
    if isinstance(reason, str):
        raise ToolchainError(
            "shared.machine", f"{target.name} cannot be loaded into this process: {reason}",
            where=f"target {target.name}", hint="use --target host, or a runner",
        )  # fmt: skip
    return SharedImage(build_shared(target, toolchain, sources, model, work), model)


def _wanted(model: ModelFacts) -> tuple[str, ...]:
    match model.kind:
        case "row":
            return ("predict_batch", "classify_batch") if model.has_classify else ("predict_batch",)
        case "text":
            return ("scores_text",)
        case "prefix":
            return ()
