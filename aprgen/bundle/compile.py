"""From wishes to a bundle: members planned, names hashed, C emitted, facts collected. Pure, as `core` is for one model.

Knows the order of work; reads no files but the package's own, and starts no program.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from aprgen import __version__
from aprgen.bundle.emission import BITS, Emitted, Names, emit_bundle, has_bits
from aprgen.bundle.lookup import Lookup, make_lookup
from aprgen.bundle.members import Member, Wish, check_names, make_member
from aprgen.container import Inspection
from aprgen.core import Artifact, Options, artifact_of, public_functions, runtime_headers, table_bytes_of
from aprgen.errors import AprgenError, BudgetError, UnsupportedError
from aprgen.families.base import MAX_TREE_BYTES
from aprgen.target import Target

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class BundleOptions:
    """limit: bytes of flash that the bundle may take. command: how to reproduce, without paths."""

    name: str
    command: str = ""
    limit: int | None = None


@dataclass(frozen=True, eq=False)
class Bundle:
    """Everything that is made: texts by file name, the members behind them, and the facts."""

    name: str
    target: Target
    options: BundleOptions
    members: tuple[Member, ...]
    lookup: Lookup
    emitted: Emitted
    texts: Mapping[str, str]
    manifest: Mapping[str, object]

    def with_measured(self, facts: Mapping[str, object]) -> Bundle:
        """The same with what a compiler made of it in the manifest."""
        manifest = {**self.manifest, "measured": dict(facts)}
        return replace(self, manifest=manifest, texts={**self.texts, MANIFEST: _json(manifest)})

    def alone(self, member: Member) -> Artifact:
        """The same code as `aprgen compile` makes of one member, under the name that it has in the bundle."""
        assert member.loaded is not None
        assert member.plan is not None
        options = Options(member.c_name, member.wish.numeric, member.wish.calibration, "", member.wish.optimise)
        plan = member.plan
        return artifact_of(
            member.loaded, plan.lowered, plan.program, self.target, options, plan.accuracy, plan.variants
        )  # fmt: skip

    @property
    def coded(self) -> tuple[Member, ...]:
        return tuple(member for member in self.members if member.plan is not None)


def compile_bundle(wishes: Sequence[Wish], target: Target, options: BundleOptions) -> Bundle:
    """The bundle as C for the target. Same models, target and options: same bytes, on any machine."""
    check_names(wishes, options.name)
    members = tuple(_member(wish, options.name, target) for wish in wishes)
    lookup = make_lookup([member.name.encode() for member in members])
    command = options.command or f"aprgen bundle {options.name}.toml --target {target.name}"
    emitted = emit_bundle(members, lookup, Names(options.name, command), target)
    constants = emitted.table_bytes + emitted.data_bytes
    if constants > MAX_TREE_BYTES:
        raise UnsupportedError(
            "bundle.too_large",
            f"tables and embedded files take {constants} bytes, aprgen writes at most {MAX_TREE_BYTES} as C",
            where=f"bundle {options.name}", hint="bundle fewer models, or as code only",
        )  # fmt: skip
    texts = {**emitted.texts, **runtime_headers("".join(emitted.texts.values()), target, given=emitted.texts)}
    manifest = _manifest(members, lookup, emitted, target, options, command, texts)
    texts[MANIFEST] = _json(manifest)
    return Bundle(options.name, target, options, members, lookup, emitted, texts, manifest)


def check_limit(n_bytes: int, options: BundleOptions, what: str) -> None:
    """Raise BudgetError when that many bytes of flash are more than the limit."""
    if options.limit is not None and n_bytes > options.limit:
        raise BudgetError(
            "budget.bundle", f"the bundle is too large: {what} take {n_bytes} bytes, the limit is {options.limit}",
            where=f"bundle {options.name}",
            hint="leave a model out, embed code or bytes only, or raise the limit; the sizes are listed above",
        )  # fmt: skip


def sizes(bundle: Bundle) -> tuple[tuple[str, int, int], ...]:
    """Of each model: its name, the bytes of its tables (shared ones too), and of its embedded file."""
    return tuple(
        (
            member.name,
            0 if member.plan is None else table_bytes_of(member.plan.program),
            0 if member.stored is None else len(member.stored.data),
        )
        for member in bundle.members
    )


def _member(wish: Wish, bundle: str, target: Target) -> Member:
    try:
        return make_member(wish, bundle, target)
    except AprgenError as error:
        where = error.where if f"model {wish.name}" in error.where else f"model {wish.name}, {error.where}"
        raise type(error)(error.code, error.what, where=where, hint=error.hint) from None


def _json(manifest: Mapping[str, object]) -> str:
    return json.dumps(manifest, indent=2) + "\n"


def _manifest(
    members: Sequence[Member],
    lookup: Lookup,
    emitted: Emitted,
    target: Target,
    options: BundleOptions,
    command: str,
    texts: Mapping[str, str],
) -> dict[str, object]:
    shared = [{"name": one.name, "wanted_as": list(one.wanted_as), "table_bytes": one.n_bytes or None,
               "saved_bytes": one.saved_bytes} for one in emitted.shared]  # fmt: skip
    return {
        "tool": "aprgen",
        "tool_version": __version__,
        "bundle": options.name,
        "command": command,
        "target": target.name,
        "cflags": list(target.exact_flags),
        "limit": options.limit,
        "models": [
            _member_facts(member, position, emitted.offsets[position]) | _kernel_facts(member, emitted)
            for position, member in enumerate(members)
        ],
        "lookup": {"hash": "FNV-1a", **asdict(lookup)},
        "table_bytes": emitted.table_bytes,
        "data_bytes": emitted.data_bytes,
        "shared": shared,
        "measured": None,
        "sha256": {
            "target": target.sha256,
            "models": {member.name: member.sha256 for member in members},
            "files": {name: hashlib.sha256(text.encode()).hexdigest() for name, text in sorted(texts.items())},
        },
    }


def _kernel_facts(member: Member, emitted: Emitted) -> dict[str, object]:
    """Of a target with variants: as in the manifest of the model alone."""
    carried = emitted.carried.get(member.c_name, ())
    return {"kernels": [one.facts for one in carried]} if carried else {}


def _member_facts(member: Member, position: int, offset: int) -> dict[str, object]:
    loaded, plan, known, stored = member.loaded, member.plan, member.known, member.stored
    header = member.found.header if isinstance(member.found, Inspection) else None
    bits = has_bits(member)
    return {
        "id": position,
        "name": member.name,
        "c_name": member.c_name,
        "file": member.wish.origin,
        "embed": member.wish.embed,
        "has": [word.lower() for bit, word in BITS.items() if bits & bit],
        "model_type": member.model_type,
        "model_type_name": None if header is None else header.model_type_name,
        "flags": [] if header is None else list(header.flag_names),
        "family": None if loaded is None else loaded.model.family,
        "struct": None if loaded is None else loaded.model.struct,
        "functions": [] if plan is None else list(public_functions(plan.program, member.c_name)),
        "n_features": 0 if known is None else known.n_features,
        "n_outputs": 0 if known is None else known.n_outputs,
        "n_classes": 0 if known is None else known.n_classes,
        "outputs": None if loaded is None else loaded.model.outputs,
        "options": {"numeric": member.wish.numeric, "optimise": member.wish.optimise},
        "accuracy": None if plan is None or plan.accuracy is None else asdict(plan.accuracy),
        "steps": [] if plan is None else [step.op.kernel for step in plan.program.steps],
        "table_bytes": 0 if plan is None else table_bytes_of(plan.program),
        "unpacked_bytes": member.unpacked_bytes,
        "crc32": f"{member.crc32:08x}",
        "signer": None if loaded is None else loaded.verification.signer,
        "findings": list(member.findings),
        "data": None if stored is None else {
            "offset": offset,
            "bytes": len(stored.data),
            "original_bytes": stored.original_bytes,
            "compression": stored.compression,
            "reason": stored.reason,
            "sha256": hashlib.sha256(stored.data).hexdigest(),
        },
        "selftest": {"rows": 0 if member.trial is None else member.trial.n_rows, "from": member.provenance},
    }  # fmt: skip
