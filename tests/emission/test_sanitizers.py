"""The C under the address and undefined-behaviour sanitizers, on rows of every kind, NaN and infinities included."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from aprgen.rows import edge_rows, random_rows
from aprgen.verify import same_bits
from tests.differential.compiled import compile_c, write_texts
from tests.emission.test_compilers import SANITIZERS, STRICT
from tests.examples import ROWS, artifact, loaded

# Reads rows from stdin into a block of exactly their size, so that a read beyond a row is found.
MAIN = """
#include "{name}.h"
#include <stdio.h>
#include <stdlib.h>

int main(void)
{{
    float *x = malloc(sizeof(float) * {macro}_N_FEATURES);
    float *out = malloc(sizeof(float) * {macro}_N_OUTPUTS);
    while (fread(x, sizeof(float), {macro}_N_FEATURES, stdin) == {macro}_N_FEATURES) {{
        int32_t label = 0;
        {name}_scores(x, out);
        {classify}
        fwrite(out, sizeof(float), {macro}_N_OUTPUTS, stdout);
        fwrite(&label, sizeof(label), 1, stdout);
    }}
    free(x);
    free(out);
    return 0;
}}
"""


@pytest.mark.parametrize("target", ["host", "cortex-m0plus"])
@pytest.mark.parametrize("name", ROWS)
def test_no_row_makes_the_c_misbehave(name: str, target: str, tmp_path: Path) -> None:
    """No byte outside an array is touched and no operation is undefined; the answers are the Program's."""
    compiled = artifact(name, target)
    program = loaded(name).model.lower()
    rows = np.concatenate([edge_rows(program, 500).values, random_rows(program, 50).values])
    labels = program.classify(rows)
    write_texts(compiled.texts, tmp_path)
    classify = f"label = {name}_classify(x);" if labels is not None else ""
    (tmp_path / "main.c").write_text(MAIN.format(name=name, macro=name.upper(), classify=classify))
    flags = ("-std=c99", "-O1", "-ffp-contract=off", *SANITIZERS)
    compile_c("gcc", (*flags, *STRICT, "main.c", f"{name}.c", "-o", "main"), tmp_path)
    done = subprocess.run([tmp_path / "main"], input=rows.tobytes(), capture_output=True, timeout=120, check=False)
    found = np.frombuffer(done.stdout, np.uint32).reshape(len(rows), -1)

    assert done.stderr.decode() == ""
    assert done.returncode == 0
    assert same_bits(found[:, :-1].copy().view(np.float32), program.run(rows)).all()
    if labels is not None:
        assert labels.tolist() == found[:, -1].view(np.int32).tolist()
