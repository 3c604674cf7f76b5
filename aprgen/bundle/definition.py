"""What the user says of a bundle: a bundle.toml, or words such as NAME=FILE:both. Knows the forms; opens no model."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TypeVar

from aprgen.bundle.members import EMBEDS, Embed
from aprgen.bundle.storage import COMPRESSIONS, Compression
from aprgen.errors import UsageError
from aprgen.selftest_rows import SELFTEST_ROWS

_Word = TypeVar("_Word", bound=str)


@dataclass(frozen=True)
class ModelDefinition:
    """One model, or one .apbundle full of them. name None: the file's. rows: a file of rows for the self-test."""

    file: Path
    name: str | None = None
    embed: Embed = "code"
    numeric: str = "f32"
    calibrate: Path | None = None
    method: str = "minmax"
    optimise: str | None = None
    struct: str | None = None
    compression: Compression = "auto"
    rows: Path | None = None
    n_rows: int = SELFTEST_ROWS


@dataclass(frozen=True)
class Definition:
    """limit: bytes of flash; None where nothing is said."""

    models: tuple[ModelDefinition, ...]
    name: str | None = None
    target: str | None = None
    limit: int | None = None


def from_word(word: str, embed: Embed) -> ModelDefinition:
    """[NAME=]FILE[:code|bytes|both]; `embed` where nothing is said."""
    rest, colon, last = word.rpartition(":")
    for known in EMBEDS:
        if colon and last == known:
            word, embed = rest, known
    name, equals, file = word.partition("=")
    if equals and name and file and "/" not in name:
        return ModelDefinition(Path(file), name, embed)
    return ModelDefinition(Path(word), None, embed)


def read_definition(path: Path) -> Definition:
    """A bundle.toml; files in it are beside it, or where their paths lead from there."""
    try:
        table: dict[str, object] = tomllib.loads(path.read_bytes().decode("utf-8"))
    except OSError as error:
        raise _wrong(path, f"cannot read the file: {error.strerror}", "give the path of a bundle.toml") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise _wrong(path, f"no valid TOML: {error}", "see docs/bundles.md for an example") from None
    reader = _Reader(table, path, "")
    models = reader.take("model", list, None)
    if not isinstance(models, list) or not models or not all(isinstance(model, dict) for model in models):
        raise _wrong(path, "there is no [[model]]", "write [[model]] with file = ... for each model")
    definition = Definition(
        models=tuple(_model(_Reader(model, path, f"model[{i}].")) for i, model in enumerate(models)),
        name=reader.take("name", str, None),
        target=reader.take("target", str, None),
        limit=reader.take("limit", int, None),
    )
    reader.end()
    if definition.limit is not None and definition.limit < 1:
        raise _wrong(path, f"limit is {definition.limit}", "give a number of bytes")
    return definition


def _model(reader: _Reader) -> ModelDefinition:
    folder = reader.path.parent
    file = reader.take("file", str, None)
    if not file:
        raise _wrong(reader.path, f"{reader.prefix}file is missing", "say which .apr file the model is in")
    calibrate, rows = reader.take("calibrate", str, None), reader.take("rows", str, None)
    n_rows = reader.take("n_rows", int, SELFTEST_ROWS)
    model = ModelDefinition(
        file=folder / file,
        name=reader.take("name", str, None),
        embed=reader.one_of("embed", EMBEDS, "code"),
        numeric=reader.take("numeric", str, None) or "f32",
        calibrate=None if calibrate is None else folder / calibrate,
        method=reader.take("calibration_method", str, None) or "minmax",
        optimise=reader.take("optimise", str, None),
        struct=reader.take("struct", str, None),
        compression=reader.one_of("compression", COMPRESSIONS, "auto"),
        rows=None if rows is None else folder / rows,
        n_rows=SELFTEST_ROWS if n_rows is None else n_rows,
    )
    reader.end()
    return model


_Value = TypeVar("_Value")


class _Reader:
    """Takes keys out of one table; whatever is left at the end is an error."""

    def __init__(self, table: Mapping[str, object], path: Path, prefix: str) -> None:
        self.left = dict(table)
        self.taken: list[str] = []
        self.path = path
        self.prefix = prefix

    def take(self, key: str, kind: type[_Value], default: _Value | None) -> _Value | None:
        self.taken.append(key)
        value = self.left.pop(key, default)
        if value is default or (isinstance(value, kind) and not isinstance(value, bool)):
            return value
        words = {str: "text in quotes", int: "a whole number", list: "a list of tables"}
        raise _wrong(self.path, f"{self.prefix}{key} is {value!r}", f"write {words[kind]}")

    def one_of(self, key: str, words: tuple[_Word, ...], default: _Word) -> _Word:
        text = self.take(key, str, None)
        for word in words:
            if text in (word, None):
                return word if text is not None else default
        raise _wrong(self.path, f"{self.prefix}{key} is {text!r}", f"use one of: {', '.join(words)}")

    def end(self) -> None:
        for key in self.left:
            near = get_close_matches(key, self.taken, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known are: {', '.join(self.taken)}"
            raise _wrong(self.path, f"{self.prefix}{key} is no key of a bundle.toml", hint)


def _wrong(path: Path, what: str, hint: str) -> UsageError:
    return UsageError("bundle.toml", what, where=path.name, hint=hint)
