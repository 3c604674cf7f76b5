"""lleaves: a LightGBM model compiled by LLVM, once for many rows and once, without blocks of trees, for one.

One row is a loop of C over its function, which a small library beside the task has. It computes in double precision.
"""

from __future__ import annotations

import ctypes
from importlib.metadata import version
from pathlib import Path

import lleaves
import numpy as np
from served import Form, rows_of, serve


def make(task: Path) -> list[Form]:
    rows = rows_of(task).astype(np.float64)
    path = str(task / "model.txt")
    if not (task / "model.txt").is_file():
        raise SystemExit("error: it reads models of LightGBM, and this one is another library's")
    many, alone = lleaves.Model(model_file=path), lleaves.Model(model_file=path)
    many.compile(fcodemodel="small")
    alone.compile(fcodemodel="small", fblocksize=alone.num_trees())
    loop = ctypes.CDLL(str(task / "each.so")).each
    loop.restype = None
    out = np.zeros(len(rows))

    def one() -> int:
        address = alone._execution_engine.get_function_address("forest_root")
        loop(
            ctypes.c_void_p(address), ctypes.c_void_p(rows.ctypes.data), ctypes.c_void_p(out.ctypes.data),
            ctypes.c_int32(len(rows)),
        )  # fmt: skip
        return len(rows)

    def batch() -> object:
        return many.predict(rows, n_jobs=1)

    return [Form(f"lleaves {version('lleaves')}", "f64", batch, one, many.predict(rows, n_jobs=1), inside=True)]


if __name__ == "__main__":
    serve(make)
