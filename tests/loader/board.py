"""One image with the device's loader and native files in flash, run on a target's runner: a record names a file and
gives its input.

A record is a text of the harness: the number of the file in 4 bytes, then a row of floats, or a text. Results are
scores, the label behind them (as bits), and the status of opening in the last place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aprgen.core import runtime_headers
from aprgen.device_loader import LoaderPlan, plan_loader
from aprgen.image import Image, ModelFacts, build_image
from aprgen.runners.choose import runner_for
from aprgen.target import Target
from aprgen.toolchain import Toolchain, Unit, compile_units, find_toolchain
from tests.loader.archives import write_loader

N_OUT = 64  # scores, label, status
LABEL, STATUS = N_OUT - 2, N_OUT - 1

MAIN = """
#include "board.h"
{includes}

{arrays}
static const uint8_t *const files[{n}] = {{{names}}};
static const uint32_t sizes[{n}] = {{{sizes}}};
static float workspace[{words}];
{parts}

void board_scores_text(const char *utf8, size_t n, float *out)
{{
    const uint32_t *const words = (const uint32_t *)(const void *)utf8;
    const uint8_t *bytes = files[words[0]];
    apr_view view;
    apr_file file;
    uint32_t label = 0U;
{prepared}    __asm__ volatile("" : "+r"(bytes)); /* the compiler sees no array of bytes behind it */
    for (uint32_t i = 0U; i < {n_out}U; ++i) {{
        out[i] = 0.0F;
    }}
    const uint32_t status = (uint32_t)apr_load(&view, &file, bytes, sizes[words[0]], {buffer}, {services});
    if ((status == 0U) && (view.head->source == 1U)) {{
        apr_view_scores(&view, (const float *)(const void *)&words[1], out, workspace);
        label = (uint32_t)apr_view_classify(&view, (const float *)(const void *)&words[1], workspace);
    }} else if ((status == 0U) && (view.head->source == 2U)) {{
        apr_view_scores_text(&view, &utf8[4], n - 4U, out, workspace);
    }} else if (status == 0U) {{
        static char text[1024];
        uint32_t lengths[8];
        label = apr_view_suggest(&view, &utf8[4], n - 4U, 5U, text, sizeof text, lengths, out);
    }} else {{
        /* refused */
    }}
    out[{label}] = apr_from_bits(label);
    out[{status}] = apr_from_bits(status);
}}
"""
# With parts: a buffer, zstd's memory, and one key that is trusted.
PARTS = """
static const uint8_t keys[1][32] = {{{{{key}}}}};
static uint64_t unpacked[{buffer_words}];
#if APR_WITH_ZSTD
static uint64_t context[APR_ZSTD_CONTEXT_BYTES / 8U];
static apr_parts owned = {{keys, 1U, context, sizeof context}};
#else
static apr_parts owned = {{keys, 1U, NULL, 0U}};
#endif
"""
HEADER = """#include <stddef.h>
#include <stdint.h>
void board_scores_text(const char *utf8, size_t n, float *out);
"""


@dataclass(frozen=True)
class Board:
    """The files in an image, by name."""

    image: Image
    names: tuple[str, ...]

    def run(self, inputs: Sequence[tuple[str, NDArray[np.float32] | str]]) -> NDArray[np.float32]:
        """Results of (name of a file, input) after (name, input), in one run."""
        records = [
            np.uint32(self.names.index(name)).tobytes() + (one.encode() if isinstance(one, str) else one.tobytes())
            for name, one in inputs
        ]
        return runner_for(self.image.target).run(self.image, records, count=False).scores


@dataclass(frozen=True)
class Trust:
    """A loader with parts, which checks signatures: the key that it trusts, and room for what is unpacked."""

    key: bytes
    buffer_bytes: int
    parts: tuple[str, ...]


def build(files: Mapping[str, bytes], words: int, target: Target, work: Path, trust: Trust | None = None) -> Board:
    """Without trust, the loader stands in the same unit as the files, and takes neither services nor a buffer."""
    toolchain = find_toolchain(target)
    includes = [target.float_header] if target.float_header else []
    includes += ["apr_load.c", "apr_view.c", "apr_view_run.c", "apr_view_text.c"]
    objects: list[Path] = []
    parts, buffer, services = "", "NULL, 0U", "NULL"
    if trust is not None:
        plan = plan_loader(target, trust.parts)
        includes = ["apr_parts.h", "apr_zstd.h"]
        objects = loader_objects(plan, toolchain, work / "loader")
        parts = PARTS.format(key=", ".join(map(str, trust.key)), buffer_words=-(-trust.buffer_bytes // 8))
        buffer, services = "(uint8_t *)unpacked, sizeof unpacked", "&services"
    macros = "" if trust is None else "".join(f"#define {name} {value}\n" for name, value in plan.macros.items())
    texts = macros + "".join(f'#include "{name}"\n' for name in includes)
    arrays = "".join(
        f"static const uint8_t {name}[] __attribute__((aligned(64))) = {{{', '.join(map(str, data))}}};\n"
        for name, data in files.items()
    )
    main = MAIN.format(
        includes=texts, arrays=arrays, n=len(files), names=", ".join(files),
        sizes=", ".join(f"{len(data)}U" for data in files.values()), words=max(1, words), n_out=N_OUT,
        label=LABEL, status=STATUS, parts=parts, buffer=buffer, services=services,
        prepared="" if trust is None else "    const apr_services services = apr_parts_services(&owned, 1U);\n",
    )  # fmt: skip
    sources: dict[str, str | bytes] = {**runtime_headers(texts, target), "board.c": main, "board.h": HEADER}
    facts = ModelFacts("board", "text", 0, N_OUT, False)
    return Board(build_image(target, toolchain, sources, facts, work, beside=objects), tuple(files))


def loader_objects(plan: LoaderPlan, toolchain: Toolchain, work: Path) -> list[Path]:
    write_loader(plan, work)
    units = [
        Unit(work / unit.path, work / f"{Path(unit.path).stem}.o", unit.flags, tuple(work / i for i in unit.include))
        for unit in plan.units
    ]
    compile_units(toolchain, units, work)
    return [unit.out for unit in units]
