"""A model's file with its payload in the other form: native for devices, bincode for the original library.

Knows what either form needs of a loaded model; knows nothing of their bytes.
"""

from __future__ import annotations

from typing import Literal

from aprgen import __version__
from aprgen.container import AprFile, AprV2File, Metadata, write_v1
from aprgen.errors import UnsupportedError
from aprgen.loaded import Loaded, check_model
from aprgen.native import Names, write_native
from aprgen.ops.strings import NONE
from aprgen.ops.term_counts import TermCounts
from aprgen.program import Program

Form = Literal["native", "bincode"]
FORMS: tuple[Form, ...] = ("native", "bincode")

NEURAL_SEQUENTIAL = 0x0020  # what an APR v2 network is in v1's numbers


def in_form(loaded: Loaded, form: Form, *, keep_record: bool = True) -> bytes:
    """A plain v1 file with the same metadata. The native form keeps the original payload beside what devices compute,
    and gives it back byte for byte, unless `keep_record` is False. A signature is not carried over.

    Raises UnsupportedError for a model that cannot predict, and for bincode where the file has no original payload.
    """
    model_type, metadata, quality = _described(loaded.container)
    if form == "bincode":
        if loaded.record is None:
            raise UnsupportedError(
                "native.record",
                "the file holds no payload of the original library, so there is none to give back",
                where="the payload",
                hint="convert from the original file, or keep its record when converting to native",
            )
        return write_v1(model_type, loaded.record, metadata, quality=quality)
    check_model(loaded.model)
    model = loaded.model
    names = Names(loaded.candidates[0], model.family, model.outputs)
    program = model.lower()
    _require_numbered(program)
    payload = write_native(program, names, loaded.record if keep_record else None)
    return write_v1(model_type, payload, metadata, quality=quality, native=True)


def _require_numbered(program: Program) -> None:
    """Devices number the strings of a vectorizer in 16 bits."""
    for step in program.steps:
        if isinstance(step.op, TermCounts) and max(step.op.strings.count, step.op.size) >= NONE:
            raise UnsupportedError(
                "native.too_large", f"{step.op.size} terms; a native payload holds fewer than {NONE}",
                where="the payload", hint="train with fewer terms (max_features, min_df), or compile the model to C",
            )  # fmt: skip


def _described(container: AprFile | AprV2File) -> tuple[int, Metadata, int | None]:
    """Model type, metadata and quality score; those of an APR v2 file in the words of v1."""
    if isinstance(container, AprFile):
        quality = container.header.quality
        return container.header.model_type, container.metadata, quality if 1 <= quality <= 100 else None
    stated = container.metadata
    name, description, created = (stated.get(key) for key in ("name", "description", "created_at"))
    metadata = Metadata(
        created_at=created if isinstance(created, str) else "0",
        aprender_version=f"aprgen {__version__}",
        model_name=name if isinstance(name, str) else None,
        description=description if isinstance(description, str) else None,
    )
    return NEURAL_SEQUENTIAL, metadata, None
