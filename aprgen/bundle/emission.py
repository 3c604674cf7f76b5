"""The C of a bundle: header, source and self-test, from members that are planned and stored.

Knows the templates' words; decides nothing about models, and reads no files.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from aprgen import __version__, spell
from aprgen.bundle.code import code_of
from aprgen.bundle.lookup import FNV_PRIME, SPREAD, Lookup
from aprgen.bundle.members import Member
from aprgen.bundle.sharing import Shared, SharedDefinitions
from aprgen.emit import RT_VERSION, environment, input_kind
from aprgen.errors import UsageError
from aprgen.program import Array
from aprgen.target import Target
from aprgen.variants import Carried

HAS_ROWS, HAS_LABELS, HAS_TEXTS, HAS_SUGGESTIONS, HAS_BYTES = 1, 2, 4, 8, 16
BITS = {
    HAS_ROWS: "ROWS", HAS_LABELS: "LABELS", HAS_TEXTS: "TEXTS", HAS_SUGGESTIONS: "SUGGESTIONS", HAS_BYTES: "BYTES"
}  # fmt: skip
_BYTES_PER_LINE = 24
_DEFINED = re.compile(r"^#define (\w+)", re.MULTILINE)


@dataclass(frozen=True)
class Names:
    """How the bundle is called in C, and the banner's facts."""

    name: str
    command: str


@dataclass(frozen=True)
class Emitted:
    """texts by file name, without the runtime's headers. offsets: of the embedded file of each member. carried: the
    variants of each model, by its C name."""

    texts: Mapping[str, str]
    shared: tuple[Shared, ...]
    table_bytes: int
    offsets: tuple[int, ...]
    data_bytes: int
    carried: Mapping[str, tuple[Carried, ...]]


def emit_bundle(members: Sequence[Member], lookup: Lookup, names: Names, target: Target) -> Emitted:
    """All C of a bundle but the runtime's headers."""
    jinja = environment((*target.templates, "bundle"))
    code = code_of(members, target, names.name)
    definitions = code.definitions
    data, offsets, alignment = _data(members)
    selftest = _SelftestTables()
    models: list[dict[str, object]] = []
    for position, member in enumerate(members):
        places = selftest.add(member)
        own = dict(code.models.get(member.c_name, {}))
        models.append(_registry_facts(member, position, names, offsets[position]) | places | own)
    shared = definitions.shared
    context: dict[str, object] = {
        "name": names.name,
        "macro": names.name.upper(),
        "command": spell.comment(names.command),
        "version": __version__,
        "target": spell.comment(target.name),
        "target_sha256": target.sha256,
        "flags": spell.comment(" ".join(target.exact_flags)),
        "models": models,
        "name_bytes": max(len(member.name) for member in members),
        "most_features": max(_facts(member, "n_features") for member in members),
        "most_outputs": max(_facts(member, "n_outputs") for member in members),
        "one_copy": code.one_copy,
        "headers": code.headers,
        "variants": code.sections,
        "kernel_names": code.kernel_names,
        "rt_version": RT_VERSION,
        "table_bytes": definitions.table_bytes,
        "shared_note": _shared_note(shared),
        "tables": definitions.table_text,
        "functions": definitions.function_text,
        "data_bytes": len(data),
        "data_alignment": alignment,
        "data": _byte_lines(data),
        **_lookup_context(lookup, names),
        **{part: [m for m in models if _bit(m, bit)] for part, bit in _CALLED.items()},
        "tested": [BITS[bit] for bit in BITS if any(_bit(m, bit) for m in models)],
        **selftest.context(names),
    }
    texts = {
        f"{names.name}.h": _rendered(jinja.get_template("bundle.h.j2").render(context)),
        f"{names.name}.c": _rendered(jinja.get_template("bundle.c.j2").render(context)),
    }
    _refuse_one_name_for_two(texts[f"{names.name}.h"], definitions)
    # The self-test's tables are named as those of a single model are.
    context["tables"] = selftest.text(names)
    texts[f"{names.name}_selftest.c"] = _rendered(jinja.get_template("bundle_selftest.c.j2").render(context))
    return Emitted({**texts, **code.texts}, shared, definitions.table_bytes, offsets, len(data), code.carried)


_CALLED = {"rows": HAS_ROWS, "labels": HAS_LABELS, "texts": HAS_TEXTS, "suggestions": HAS_SUGGESTIONS}


def _bit(model: Mapping[str, object], bit: int) -> bool:
    bits = model["bits"]
    assert isinstance(bits, int)
    return bool(bits & bit)


def has_bits(member: Member) -> int:
    """What NAME_entry.has says of the model."""
    bits = HAS_BYTES if member.stored is not None else 0
    if member.plan is not None:
        program = member.plan.program
        bits |= {"text": HAS_TEXTS, "prefix": HAS_SUGGESTIONS}.get(input_kind(program), HAS_ROWS)
        bits |= HAS_LABELS if program.label is not None else 0
    return bits


def _facts(member: Member, what: str) -> int:
    return 0 if member.known is None else int(getattr(member.known, what))


def _registry_facts(member: Member, position: int, names: Names, offset: int) -> dict[str, object]:
    bits = has_bits(member)
    macro = names.name.upper()
    loaded = member.loaded
    summary = member.closed if loaded is None else f"{loaded.model.family} ({loaded.model.struct})"
    return {
        "name": member.name,
        "c_name": member.c_name,
        "coded": member.plan is not None,
        "id": position,
        "id_macro": f"{macro}_ID_{member.c_name.removeprefix(names.name).lstrip('_').upper()}",
        "bits": bits,
        "has": " | ".join(f"{macro}_HAS_{word}" for bit, word in BITS.items() if bits & bit),
        "summary": spell.comment(summary),
        "embed": member.wish.embed,
        "numeric": member.wish.numeric,
        "signer": "none" if loaded is None else spell.comment(loaded.verification.signer),
        "sha256": member.sha256,
        "provenance": spell.comment(member.provenance),
        "model_type": member.model_type,
        "n_features": _facts(member, "n_features"),
        "n_outputs": _facts(member, "n_outputs"),
        "n_classes": _facts(member, "n_classes"),
        "data_offset": offset,
        "data_bytes": 0 if member.stored is None else len(member.stored.data),
        "unpacked_bytes": member.unpacked_bytes,
        "crc32": f"0x{member.crc32:08X}",
    }


def _shared_note(shared: Sequence[Shared]) -> str:
    if not shared:
        return ""
    saved = sum(one.saved_bytes for one in shared)
    return f"\n * shared   {len(shared)} definitions; {saved} bytes of tables are not there twice"


def _lookup_context(lookup: Lookup, names: Names) -> dict[str, object]:
    n_models = max(lookup.slots)
    slot_type = np.uint8 if n_models < 256 else np.uint16
    most = max(lookup.displacements)
    return {
        "basis": f"0x{lookup.basis:08X}",
        "prime": f"0x{FNV_PRIME:08X}",
        "spread": f"0x{SPREAD:08X}",
        "shift": lookup.shift,
        "bucket_mask": len(lookup.displacements) - 1,
        "displacements": spell.table(
            f"{names.name}_displacements", np.array(lookup.displacements, np.uint8 if most < 256 else np.uint16)
        ),
        "slots": spell.table(f"{names.name}_slots", np.array(lookup.slots, slot_type)),
    }


def _data(members: Sequence[Member]) -> tuple[bytes, tuple[int, ...], int]:
    """All embedded files with zeros between, where each begins, and what the whole must be aligned to."""
    data = bytearray()
    offsets = []
    alignment = 1
    for member in members:
        if member.stored is None:
            offsets.append(0)
            continue
        alignment = max(alignment, member.alignment)
        data += bytes(-len(data) % member.alignment)
        offsets.append(len(data))
        data += member.stored.data
    return bytes(data), tuple(offsets), alignment


def _byte_lines(data: bytes) -> str:
    starts = range(0, len(data), _BYTES_PER_LINE)
    return "".join(f"    {', '.join(map(str, data[at : at + _BYTES_PER_LINE]))},\n" for at in starts)


class _SelftestTables:
    """Rows, texts and answers of all models, each kind in one table; a member's place in each."""

    def __init__(self) -> None:
        self._parts: dict[str, list[Array]] = {part: [] for part in ("x", "text", "start", "out", "label")}
        self._text_bytes = 0  # of all texts so far
        self._room = 1  # for the completions of any prefix

    def add(self, member: Member) -> dict[str, object]:
        """Where the rows of a member begin in each table."""
        trial = member.trial
        if trial is None:
            return {"selftest_rows": 0, "selftest_x": 0, "selftest_out": 0, "selftest_label": 0}
        places: dict[str, object] = {
            "selftest_rows": trial.n_rows,
            "selftest_x": self._size("start" if "start" in trial.arrays else "x"),
            "selftest_out": self._size("out"),
            "selftest_label": self._size("label"),
        }
        for part, array in trial.arrays.items():
            if part == "start":
                array = array + np.uint32(self._text_bytes)
            self._parts[part].append(array.reshape(-1))
        if "text" in trial.arrays:
            self._text_bytes += len(trial.arrays["text"])
        self._room = max(self._room, trial.text_bytes)
        return places

    def _size(self, part: str) -> int:
        return sum(len(array) for array in self._parts[part])

    def text(self, names: Names) -> str:
        tables = {part: np.concatenate(arrays) for part, arrays in self._parts.items() if arrays}
        return "\n".join(spell.table(f"{names.name}_selftest_{part}", array) for part, array in tables.items())

    def context(self, names: Names) -> dict[str, object]:
        return {"text_bytes": self._room, "has_x": bool(self._parts["x"]), "has_out": bool(self._parts["out"])}


def _rendered(text: str) -> str:
    return re.sub(r"\n{3,}", "\n\n", text).rstrip("\n") + "\n"


def _refuse_one_name_for_two(header: str, definitions: SharedDefinitions) -> None:
    """Names of models can be such that a name made of one is also made of another."""
    made = Counter(_DEFINED.findall(header))
    made.update({*definitions.tables, *definitions.functions})
    made.update(re.findall(r"^[a-z]\w+ \*?(\w+)\(", header, re.MULTILINE))
    twice = [name for name, count in made.items() if count > 1]
    if twice:
        raise UsageError(
            "bundle.name", f"two things would be called {twice[0]} in C", where="the names of the models",
            hint="name one of the models otherwise: NAME=FILE",
        )  # fmt: skip


def probe_texts(name: str, members: Sequence[Member], suggesting: str) -> dict[str, str]:
    """The files of a model apr_probe that stands for all of a bundle; suggesting: which model completes prefixes."""
    bits = 0
    for member in members:
        bits |= has_bits(member)
    jinja = environment(("bundle",))
    context: dict[str, object] = {"name": name, "macro": name.upper(), "suggesting": suggesting}
    context |= {part: bool(bits & bit) for part, bit in _CALLED.items()}
    return {
        "apr_probe.h": jinja.get_template("bundle_probe.h.j2").render(context),
        "apr_probe.c": jinja.get_template("bundle_probe.c.j2").render(context),
    }
