"""Small hand-written models that stand in for generated ones, each made to show one thing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aprgen.image import Image, ModelFacts, build_image
from aprgen.target import Target, load_target, target_names
from aprgen.toolchain import find_toolchain

TARGETS = target_names()
CORTEX = tuple(name for name in TARGETS if name.startswith("cortex-"))


@dataclass(frozen=True)
class StandIn:
    facts: ModelFacts
    sources: dict[str, str | bytes]

    def build(self, target: Target, work: Path, prefer: str = "auto") -> Image:
        return build_image(target, find_toolchain(target, prefer), self.sources, self.facts, work)

    def build_for(self, name: str, work: Path, prefer: str = "auto") -> Image:
        return self.build(load_target(name), work, prefer)


def row_model(body: str, n_features: int, n_outputs: int, *, classify: str = "", name: str = "brake") -> StandIn:
    """body: what is inside NAME_scores, or the whole file when it holds that name; classify: inside NAME_classify."""
    scores = f"void {name}_scores(const float x[{n_features}], float out[{n_outputs}])"
    label = f"int32_t {name}_classify(const float x[{n_features}])"
    source = body if f"{name}_scores" in body else f"{scores}\n{{\n{body}\n}}\n"
    label_source = f"{label}\n{{\n{classify}\n}}\n" if classify else ""
    batch = f"void {name}_predict_batch(const float *x, size_t n_rows, float *out)"
    label_batch = f"void {name}_classify_batch(const float *x, size_t n_rows, int32_t *labels)"
    loops = (
        f"{batch}\n{{\n for (size_t i = 0U; i < n_rows; ++i) {{\n"
        f"  {name}_scores(x + (i * {n_features}U), out + (i * {n_outputs}U));\n }}\n}}\n"
    )
    if classify:
        loops += (
            f"{label_batch}\n{{\n for (size_t i = 0U; i < n_rows; ++i) {{\n"
            f"  labels[i] = {name}_classify(x + (i * {n_features}U));\n }}\n}}\n"
        )
    declared = [scores, batch] + ([label, label_batch] if classify else [])
    header = "#include <stddef.h>\n#include <stdint.h>\n" + "".join(f"{one};\n" for one in declared)
    facts = ModelFacts(name, "row", n_features, n_outputs, bool(classify))
    return StandIn(facts, {f"{name}.h": header, f"{name}.c": f'#include "{name}.h"\n{source}{label_source}{loops}'})


# Products of unlike magnitude, summed left to right: fusing or reordering changes bits in most rows.
ROUNDING = row_model(
    """    float sum = 0.1f;
    for (uint32_t i = 0U; i < 4U; ++i) {
        static const float weight[4] = {0.3f, -1.7f, 0.01f, 3.1f};
        sum += weight[i] * x[i];
    }
    out[0] = sum;
    out[1] = (sum * x[0]) + (x[1] / 3.0f);
    out[2] = (x[2] - sum) * 0.7f;""",
    4,
    3,
    classify="""    float s[3];
    brake_scores(x, s);
    return (s[0] > s[1]) ? ((s[0] > s[2]) ? 10 : 30) : ((s[1] > s[2]) ? -20 : 30);""",
)

# A loop that compilers like to make a vector of: some vector units flush subnormal numbers to zero.
ELEMENTWISE = row_model(
    """
static __attribute__((noinline)) void shift_and_scale(const float *restrict x, float *restrict out)
{
    for (uint32_t i = 0U; i < 64U; ++i) {
        out[i] = (x[i] - 1e-39f) * 0.5f;
    }
}
void brake_scores(const float x[64], float out[64])
{
    shift_and_scale(x, out);
}
""",
    64,
    64,
)

TREE = row_model(
    "    out[0] = (x[0] <= 0.5f) ? ((x[1] <= -1.0f) ? 1.0f : 2.0f) : 3.0f;",
    2,
    1,
    classify="    return (x[0] <= 0.5f) ? ((x[1] <= -1.0f) ? 1 : 2) : 3;",
)

# Counts of bytes by their lowest two bits, and what a text without a byte gives.
TEXT = StandIn(
    ModelFacts("words", "text", 0, 4, False),
    {
        "words.h": "#include <stddef.h>\n#include <stdint.h>\n"
        "void words_scores_text(const char *utf8, size_t n, float out[4]);\n",
        "words.c": """#include "words.h"
void words_scores_text(const char *utf8, size_t n, float out[4])
{
    for (uint32_t k = 0U; k < 4U; ++k) {
        out[k] = 0.0f;
    }
    for (size_t i = 0U; i < n; ++i) {
        out[(unsigned char)utf8[i] & 3U] += 1.0f;
    }
}
""",
    },
)

# Suggests the prefix itself with 1, 2, ... exclamation marks, as many as the prefix has bytes, at most k.
PREFIX = StandIn(
    ModelFacts("shell", "prefix", 0, 0, False, n_suggestions=5, text_bytes=256),
    {
        "shell.h": "#include <stddef.h>\n#include <stdint.h>\n"
        "uint32_t shell_suggest(const char *utf8, size_t n, uint32_t k, char *text, size_t text_size,\n"
        "                       uint32_t *lengths, float *scores);\n",
        "shell.c": """#include "shell.h"
uint32_t shell_suggest(const char *utf8, size_t n, uint32_t k, char *text, size_t text_size,
                       uint32_t *lengths, float *scores)
{
    size_t at = 0U;
    uint32_t count = 0U;
    while ((count < k) && (count < n) && ((at + n + count + 1U) <= text_size)) {
        for (size_t i = 0U; i < n; ++i) {
            text[at + i] = utf8[i];
        }
        at += n;
        for (uint32_t i = 0U; i <= count; ++i) {
            text[at] = '!';
            ++at;
        }
        lengths[count] = (uint32_t)n + count + 1U;
        scores[count] = 1.0f / (float)(count + 1U);
        ++count;
    }
    return count;
}
""",
    },
)


def rows(n_rows: int, n_features: int, seed: int = 1) -> NDArray[np.float32]:
    """Rows whose magnitudes span six decades, so that sums round."""
    random = np.random.default_rng(seed)
    scale = 10.0 ** random.uniform(-3, 3, (n_rows, n_features))
    return (random.standard_normal((n_rows, n_features)) * scale).astype(np.float32)


def rounding_in_numpy(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """What ROUNDING computes, one float32 operation at a time."""
    total = np.full(len(x), 0.1, np.float32)
    for column, weight in enumerate(np.array([0.3, -1.7, 0.01, 3.1], np.float32)):
        total = total + weight * x[:, column]
    second = total * x[:, 0] + x[:, 1] / np.float32(3)
    return np.stack([total, second, (x[:, 2] - total) * np.float32(0.7)], axis=1)
