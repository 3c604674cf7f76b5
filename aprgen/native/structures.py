"""Numbers and structures of the native payload, byte for byte as docs/native-payload.md has them.

Knows no op and no check.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

MAGIC = b"APNP"
MAJOR, MINOR = 1, 0
ALIGNMENT = 64  # of sections in the payload, and of the payload in the file
NOTHING = 0xFFFFFFFF  # no label
MAX_ELEMENTS = 1 << 16  # of a row and of any value: more than any device model has
MAY_BE_SKIPPED = 0x8000  # kinds of sections from here on mean nothing to the computation

STEPS, VALUES, INPUTS, STAGE_LIST, TENSOR, NODE_LIST = 1, 2, 3, 4, 5, 6
NAMES, RECORD = 0x8001, 0x8002
FIRST_KINDS = (STEPS, VALUES, INPUTS, STAGE_LIST)  # sections 0 to 3, in every payload

PLAIN, ZSTD = 0, 1  # how a record is stored

FOR_SCORES, FOR_LABEL = 1, 2  # what a step is needed for

SOURCES: Final = {"f32": 1, "text": 2, "prefix": 3}
ELEMENTS_OF_VALUES: Final = {"f32": 1, "u16": 2, "i32": 3, "text": 4, "prefix": 5}

HEAD = np.dtype(
    [
        ("magic", "S4"), ("major", "<u2"), ("minor", "<u2"), ("n_bytes", "<u4"), ("n_sections", "<u4"),
        ("n_steps", "<u4"), ("source", "<u4"), ("n_features", "<u4"), ("n_outputs", "<u4"), ("n_classes", "<u4"),
        ("scores", "<u4"), ("label", "<u4"), ("value_words", "<u4"), ("scratch_words", "<u4"), ("reserved", "<u4", 3),
    ]
)  # fmt: skip
SECTION = np.dtype(
    [
        ("kind", "<u2"), ("element", "<u2"), ("count", "<u4"), ("offset", "<u4"), ("n_bytes", "<u4"),
        ("rows", "<u4"), ("cols", "<u4"), ("detail", "<u4"), ("reserved", "<u4"),
    ]
)  # fmt: skip
N_TABLES, N_PARAMETERS = 12, 6
STEP = np.dtype(
    [
        ("op", "<u2"), ("needed", "<u2"), ("first_input", "<u4"), ("n_inputs", "<u4"), ("reserved", "<u4"),
        ("table", "<u2", N_TABLES), ("parameter", "<u4", N_PARAMETERS),
    ]
)  # fmt: skip
VALUE = np.dtype([("element", "<u4"), ("size", "<u4"), ("at", "<u4"), ("reserved", "<u4")])
STAGE = np.dtype([("verb", "<u4"), ("constant", "<u4"), ("each", "<u2"), ("mask", "<u2"), ("reserved", "<u4")])
SHORT_NODE = np.dtype([("threshold", "<f4"), ("feature", "<u2"), ("flags", "<u2"), ("left", "<i2"), ("right", "<i2")])
LONG_NODE = np.dtype([("threshold", "<f4"), ("feature", "<u2"), ("flags", "<u2"), ("left", "<i4"), ("right", "<i4")])

ELEMENTS: Mapping[int, np.dtype[Any]] = {
    1: np.dtype("u1"), 2: np.dtype("<u2"), 3: np.dtype("<u4"), 4: np.dtype("<i2"), 5: np.dtype("<i4"),
    6: np.dtype("<f4"), 7: np.dtype("<f8"),
    16: STEP, 17: VALUE, 18: STAGE, 19: SHORT_NODE, 20: LONG_NODE,
}  # fmt: skip
NUMBER_OF = {dtype: number for number, dtype in ELEMENTS.items()}
