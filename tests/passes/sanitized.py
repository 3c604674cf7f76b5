"""Generated C under the address and undefined-behaviour sanitizers, in buffers without a byte to spare."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aprgen.target import Target
from tests.differential.compiled import compile_c, write_texts

SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-O1")
# Rows and results are exactly as large as they must be.
EXACT_BUFFERS = """
#include "m.h"
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    static const size_t counts[] = {1, 5, 15, 16, 17, 63, 127, 130};
    FILE *const input = fopen("rows.bin", "rb");
    for (size_t c = 0; c < sizeof counts / sizeof counts[0]; ++c) {
        const size_t n = counts[c];
        float *const x = malloc(n * M_N_FEATURES * sizeof(float));
        float *const out = malloc(n * M_N_OUTPUTS * sizeof(float));
        if (fread(x, sizeof(float) * M_N_FEATURES, n, input) != n) {
            return 1;
        }
        m_predict_batch(x, n, out);
        free(x);
        free(out);
    }
    return fclose(input);
}
"""


def require_clean(
    texts: Mapping[str, str], rows: NDArray[np.float32], target: Target, folder: Path, main: str = EXACT_BUFFERS
) -> None:  # fmt: skip
    """The sanitizers of gcc have nothing to say of the model m, which `main` runs over the rows in rows.bin."""
    write_texts({**texts, "main.c": main}, folder)
    (folder / "rows.bin").write_bytes(rows.tobytes())
    flags = ("-std=c99", "-ffp-contract=off", *target.builds[0].cflags, *SANITIZERS)
    compile_c("gcc", (*flags, "m.c", "main.c", "-o", "main"), folder)
    done = subprocess.run(["./main"], cwd=folder, capture_output=True, text=True, timeout=60, check=False)

    assert (done.returncode, done.stderr) == (0, "")
