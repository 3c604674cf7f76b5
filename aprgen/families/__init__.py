"""The registry of families: which structs can stand in a payload, and which one does.

The header's number names a family, not a struct, so every candidate is tried and must use every byte.
"""

from __future__ import annotations

from dataclasses import dataclass

from aprgen.container.bincode import decode, encode
from aprgen.container.cursor import Origin
from aprgen.container.limits import DEFAULT_LIMITS, Limits
from aprgen.container.source import Bytes
from aprgen.errors import AprgenError, PayloadError, UnsupportedError, UsageError
from aprgen.families import (
    boosting,
    experts,
    forest,
    gaussian,
    isolation,
    layout_only,
    linear,
    neighbours,
    ngram,
    scaler,
    tree,
    vectorizer,
)
from aprgen.families.base import Fields, Model, Struct

VALUE_STRUCTS = (*linear.STRUCTS, *tree.STRUCTS, *forest.STRUCTS)  # what can be an expert

STRUCTS: tuple[Struct, ...] = (
    *linear.STRUCTS,
    *tree.STRUCTS,
    *forest.STRUCTS,
    *boosting.STRUCTS,
    *isolation.STRUCTS,
    *neighbours.STRUCTS,
    *gaussian.STRUCTS,
    *scaler.STRUCTS,
    *vectorizer.STRUCTS,
    *ngram.STRUCTS,
    *experts.structs(VALUE_STRUCTS),
    *layout_only.STRUCTS,
)

CUSTOM = 0x00FF  # the user's own number: any struct may stand under it


@dataclass(frozen=True)
class Decoded:
    """A model and the names of all structs that fit the payload, the chosen one first."""

    model: Model
    candidates: tuple[str, ...]


def struct_names() -> tuple[str, ...]:
    """The names that --as takes."""
    return tuple(dict.fromkeys(struct.name for struct in STRUCTS))


def decode_model(
    model_type: int, payload: Bytes, *, name: str | None = None, limits: Limits = DEFAULT_LIMITS,
    canonical: bool = False, origin: Origin | None = None,
) -> Decoded:  # fmt: skip
    """The model in a payload. `name` (from --as or the metadata) chooses the struct, else exactly one must fit.

    canonical: what is decoded must encode to the same bytes again. origin: where to read trees from when they are
    walked.

    Raises PayloadError when none fits, UnsupportedError for a model type without a layout.
    """
    candidates = _candidates(model_type, name)
    fits: list[tuple[Struct, Model]] = []
    failures: list[tuple[Struct, PayloadError]] = []
    for struct in candidates:
        taken = limits.taken
        try:
            fields = decode(struct.codec, payload, limits, origin)
            if canonical:
                _require_canonical(struct, fields, payload)
            fits.append((struct, struct.build(fields)))
        except PayloadError as error:
            limits.give_back(taken)
            failures.append((struct, error.with_traceback(None)))  # whose frames would keep the payload
    if not fits:
        raise _no_struct(failures)
    if len(fits) > 1:  # two coefficients read as an unfitted Lasso, too: no reason to doubt
        fits = [fit for fit in fits if _sound(fit[1])] or fits
    return Decoded(fits[0][1], tuple(dict.fromkeys(struct.name for struct, _ in fits)))


def _candidates(model_type: int, name: str | None) -> tuple[Struct, ...]:
    if name is not None:
        named = tuple(struct for struct in STRUCTS if struct.name.lower() == name.lower())
        if not named:
            raise UsageError(
                "usage.struct",
                f"no struct is called {name!r}",
                where="--as, or aprgen.struct in the metadata",
                hint=f"known are {', '.join(struct_names())}",
            )
        return named
    found = tuple(struct for struct in STRUCTS if model_type in struct.model_types)
    if found:
        return found
    raise UnsupportedError(
        "model.type",
        f"model type {model_type:#06x} has no payload layout",
        where="byte 6 of the file",
        hint="if you know what the payload holds, name the struct with --as",
    )


def _require_canonical(struct: Struct, fields: Fields, payload: Bytes) -> None:
    if encode(struct.codec, fields) != payload:
        raise PayloadError(
            "payload.spelling", f"the {struct.name} encodes to other bytes than the payload has", where="the payload",
            hint="the file is damaged or was edited; export it again, or take a lower verification level",
        )  # fmt: skip


def _sound(model: Model) -> bool:
    """Whether the model could predict: breaks ties between structs that fit the same bytes."""
    try:
        model.check()
    except AprgenError:
        return False
    return True


def _no_struct(failures: list[tuple[Struct, PayloadError]]) -> PayloadError:
    """The failure of the candidate that came furthest says most."""
    if len(failures) == 1:
        return failures[0][1]
    tried = ", ".join(dict.fromkeys(struct.name for struct, _ in failures))
    struct, error = max(failures, key=lambda failure: failure[1].progress)
    return PayloadError(
        error.code,
        f"the payload is none of {tried}; as {struct.name}: {error.what}",
        where=error.where,
        hint="the file is damaged or truncated; if it holds another struct, name it with --as",
    )
