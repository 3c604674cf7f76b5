"""The model as a shared library in this process: NumPy arrays go in and out of the C without a copy.

Knows the batch functions of the C interface, and that rows do not depend on each other. Nothing protects this process
from a fault in the C, so it is for C that aprgen made; a program of its own is what `native` runs.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aprgen.errors import ToolchainError, UnsupportedError, UsageError
from aprgen.image import ModelFacts, build_shared
from aprgen.runners.execution import Records
from aprgen.runners.native import find_native
from aprgen.runners.records import rows_of, texts_of
from aprgen.target import Target
from aprgen.toolchain import Toolchain

PART_ROWS = 256  # rows are shared out in multiples of it: for fewer, waking a thread takes longer than the work

Call = Callable[[object, object], bool]  # rows and results; False: nothing was done, the arrays are of another kind
_METHOD_BYTES = 4 * ctypes.sizeof(ctypes.c_void_p)  # of PyMethodDef


class SharedImage:
    """A loaded library. It stays loaded as long as the process."""

    def __init__(self, library: Path, model: ModelFacts) -> None:
        self.model = model
        self._pools: dict[int, Executor] = {}
        try:
            self._library = ctypes.CDLL(str(library.resolve()))
            self._predict = self._call("predict_batch") if model.kind == "row" else None
            self._classify = self._call("classify_batch") if model.kind == "row" and model.has_classify else None
            self._text = self._text_function() if model.kind == "text" else None
        except (OSError, AttributeError, ValueError) as error:
            raise ToolchainError(
                "shared.load", f"the shared library cannot be used: {error}", where=library.name,
                hint="it must be built for this machine, and define the batch functions",
            ) from error  # fmt: skip

    def predict(self, records: Records, threads: int | Executor = 1) -> NDArray[np.float32]:
        """Scores, float32 [records, n_outputs]; contiguous float32 rows are not copied.

        threads: how many compute at once, or the pool of threads that does; the results are the same.
        """
        if self._predict is not None:
            out = np.empty((len(records), self.model.n_outputs), np.float32)
            return self._in_parts(self._predict, records, out, threads)
        if self._text is None:
            raise UnsupportedError(
                "shared.prefix", f"model {self.model.name} suggests, it does not predict", where="predict()",
                hint="build an image and run it",
            )  # fmt: skip
        texts = texts_of(self.model, records)
        out = np.empty((len(texts), self.model.n_outputs), np.float32)
        for number, text in enumerate(texts):
            self._text(text, len(text), out[number].ctypes.data)
        return out

    def classify(self, records: Records, threads: int | Executor = 1) -> NDArray[np.int32] | None:
        """Labels, int32 [records]; None when the model does not classify. threads: as of predict()."""
        if self._classify is None:
            return None
        return self._in_parts(self._classify, records, np.empty(len(records), np.int32), threads)

    def scores_as_they_are(self, rows: object) -> NDArray[np.float32] | None:
        """predict() of contiguous float32 [rows, n_features], with nothing between; None: rows are something else."""
        call, n_outputs = self._predict, self.model.n_outputs
        try:
            out = np.empty((len(rows), n_outputs), np.float32)  # type: ignore[arg-type]  # tried, not asked
        except TypeError:
            return None
        return out if call is not None and call(rows, out) else None

    def labels_as_they_are(self, rows: object) -> NDArray[np.int32] | None:
        """The same of classify(); None, too, when the model does not classify."""
        call = self._classify
        try:
            labels = np.empty(len(rows), np.int32)  # type: ignore[arg-type]
        except TypeError:
            return None
        return labels if call is not None and call(rows, labels) else None

    def predict_into(self, rows: NDArray[np.float32], out: NDArray[np.float32]) -> None:
        """predict() of contiguous rows [rows, n_features] into an array [rows, n_outputs], with nothing between."""
        if self._predict is None or not self._predict(rows, out):
            raise UsageError(
                "usage.shape", f"the model takes contiguous float32 [rows, {self.model.n_features}] and fills "
                f"[rows, {self.model.n_outputs}]", where="predict_into()", hint="use predict()",
            )  # fmt: skip

    def _in_parts(
        self, call: Call, records: Records, out: NDArray[Any], threads: int | Executor
    ) -> NDArray[Any]:  # fmt: skip
        """Rows of any kind: in as many parts as there are threads, or in small ones for a pool."""
        rows = np.require(rows_of(self.model, records), np.float32, ("C", "A"))
        if isinstance(threads, int) and threads < 1:
            raise UsageError(
                "usage.threads", f"{threads} threads compute nothing", where="threads", hint="give 1 or more"
            )
        share = -(-len(rows) // threads) if isinstance(threads, int) else 1
        size = PART_ROWS * max(1, -(-share // PART_ROWS))
        parts = [slice(start, start + size) for start in range(0, len(rows), size)]
        if len(parts) < 2:
            done = [call(rows, out)]
        else:
            pool = self._pool(threads) if isinstance(threads, int) else threads
            done = list(pool.map(lambda part: call(rows[part], out[part]), parts))
        assert all(done)  # these arrays are what C takes
        return out

    def _pool(self, threads: int) -> Executor:
        """Threads that wait for the next call."""
        if threads not in self._pools:
            self._pools[threads] = ThreadPoolExecutor(threads, f"aprgen-{self.model.name}")
        return self._pools[threads]

    def _call(self, name: str) -> Call:
        """The function of qemu/python/apr_python.h, as Python calls its own built-in ones."""
        method = (ctypes.c_char * _METHOD_BYTES).in_dll(self._library, f"apr_method_{name}")
        make = ctypes.pythonapi.PyCFunction_NewEx
        make.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
        make.restype = ctypes.py_object
        call: Call = make(ctypes.addressof(method), None, None)
        return call

    def _text_function(self) -> Callable[[bytes, int, int], None]:
        function = getattr(self._library, self.model.symbol("scores_text"))
        function.argtypes = (ctypes.c_char_p, ctypes.c_size_t, ctypes.c_void_p)
        function.restype = None
        call: Callable[[bytes, int, int], None] = function
        return call


def load_shared(
    target: Target, toolchain: Toolchain, sources: Mapping[str, str | bytes], model: ModelFacts, work: Path
) -> SharedImage:
    """Build and load; a target that this machine is not, or a CPU that lacks what it needs, is a ToolchainError."""
    require_this_machine(target)
    return SharedImage(build_shared(target, toolchain, sources, model, work), model)


def require_this_machine(target: Target) -> None:
    """Raise ToolchainError unless this machine can run the target's code."""
    reason = why_not_here(target)
    if reason:
        raise ToolchainError(
            "shared.machine", f"{target.name} cannot be loaded into this process: {reason}",
            where=f"target {target.name}", hint="use --target host, or a runner",
        )  # fmt: skip


def why_not_here(target: Target) -> str:
    """Why this machine cannot run the target's code; empty when it can."""
    rule = next((rule for rule in target.runs if rule.kind == "native"), None)
    found = "it never runs natively" if rule is None else find_native(target, rule, None)
    return found if isinstance(found, str) else ""
