"""Targets: what a TOML file says about a machine, its compilers, and where its programs run.

Knows the form of the file and refuses what it does not know. Knows nothing of any one target, and starts no program.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Literal

from aprgen.costs import BatchCost, ByteCodes, Cost, FloatCost, FusedCost, IntegerForm, TextCost
from aprgen.errors import UnsupportedError, UsageError
from aprgen.resources import folder
from aprgen.table_reader import TableReader

FloatUnit = Literal["none", "single", "double"]
WeightOrder = Literal["rows", "unsigned-blocks"]  # of integer weights in memory
Origin = Literal["system", "pypi", "none"]  # where a tool comes from; "none" needs no tool

ImageForm = Literal["elf", "wasm"]

EXACT_FLAGS = ("-std=c99", "-ffp-contract=off")  # for all generated C: a fused multiply-add would give other bits

_FLOAT_UNITS: tuple[FloatUnit, ...] = ("none", "single", "double")
_WEIGHTS: tuple[WeightOrder, ...] = ("rows", "unsigned-blocks")
_ORIGINS: tuple[Origin, ...] = ("system", "pypi", "none")
_BYTE_CODES: tuple[ByteCodes, ...] = ("unsigned", "signed", "none")
_IMAGES: tuple[ImageForm, ...] = ("elf", "wasm")
_MAX_EXTENDS = 4


@dataclass(frozen=True)
class Memory:
    """What a model may add to an application on this target."""

    flash_bytes: int
    ram_bytes: int


@dataclass(frozen=True)
class Board:
    """What the emulated board has."""

    code_origin: int
    code_bytes: int
    ram_origin: int
    ram_bytes: int


@dataclass(frozen=True)
class BuildRule:
    """One way to build for a target; a target lists several, the preferred first.

    Either `programs` (names on PATH, the first that exists) or `module` (a Python module run with -m).
    `linkers` is empty when the compiler links. `keep` spells "this symbol is a root"; {symbol} stands for it.
    `image_flags` link an image with its harness, `alone_flags` the model alone, to measure it.
    `shared` is empty when no shared library can be built. `marks`: its assembly can be read for the order of marks and
    labels, so that loop bounds come out of its object files. `always_marked`: the marks are in every build, not only
    where they are asked for, because runtime_c/apr_mark.h puts them there for this compiler. {machine} and {cache} are
    replaced by the host's processor and aprgen's cache folder.
    """

    name: str
    origin: Origin
    package: str
    programs: tuple[str, ...]
    module: str
    arguments: tuple[str, ...]
    linkers: tuple[str, ...]
    cflags: tuple[str, ...]
    ldflags: tuple[str, ...]
    libraries: tuple[str, ...]
    image_flags: tuple[str, ...]
    alone_flags: tuple[str, ...]
    keep: str
    shared: tuple[str, ...]
    stack_usage: bool
    marks: bool
    always_marked: bool
    host_machine: str
    environment: Mapping[str, str]


@dataclass(frozen=True)
class RunRule:
    """One way to run an image; `needs` are CPU flags of the host as Linux names them."""

    kind: str
    origin: Origin
    program: str
    package: str
    machine: str
    cpu: str
    needs: tuple[str, ...]
    host_machine: str


def how_to_install(rules: Iterable[BuildRule | RunRule]) -> str:
    """The commands that bring what the rules need, each once."""
    with_package = (rule for rule in rules if rule.package)
    commands = (f"{'apt-get' if rule.origin == 'system' else 'pip'} install {rule.package}" for rule in with_package)
    return " or ".join(dict.fromkeys(commands)) or "use a machine of that kind"


@dataclass(frozen=True)
class Variant:
    """Kernels of a package that carries several and picks one where it runs.

    name: part of names in C. target: whose kernels and costs; None: those of the package itself. instructions: what
    the kernels use, as compilers name it. needs: the CPU flags, as Linux names them.
    """

    name: str
    target: Target | None
    instructions: tuple[str, ...]
    needs: tuple[str, ...]


@dataclass(frozen=True)
class Target:
    """A target file, read. Folders stand special first.

    templates and runtime are folders of those names. float_header: of runtime_c, with routines for the operators of
    floats in place of the compiler's library; empty where the core has its own unit or the library is used. harness
    and support are folders of qemu/: the first makes an image run, the second is what any application on the target
    has (memcpy and the like). weights: the order in which its kernels read integer weights, "rows" or
    "unsigned-blocks". fused: an instruction adds a product with one rounding for both, so that f32-fast is worth it.
    variants: the kernels that it carries, the preferred last; empty where it has one kind."""

    name: str
    summary: str
    templates: tuple[str, ...]
    runtime: tuple[str, ...]
    weights: WeightOrder
    harness: tuple[str, ...]
    support: tuple[str, ...]
    image: ImageForm
    float_unit: FloatUnit
    float_header: str
    fused: bool
    cost: Cost
    text: TextCost
    batch: BatchCost | None
    memory: Memory | None
    board: Board | None
    builds: tuple[BuildRule, ...]
    runs: tuple[RunRule, ...]
    variants: tuple[Variant, ...]
    sha256: str

    @property
    def exact_flags(self) -> tuple[str, ...]:
        """Flags under which generated C keeps its promise here: those of the preferred compiler."""
        return (*EXACT_FLAGS, *self.builds[0].cflags)

    def has_kernel(self, name: str) -> bool:
        """Whether one of its folders has that kernel."""
        return any((folder("templates") / one / f"{name}.c.j2").is_file() for one in self.templates)


def target_names() -> tuple[str, ...]:
    """The targets that come with aprgen, sorted."""
    return tuple(sorted(path.stem for path in folder("targets").glob("*.toml")))


def load_target(name_or_path: str) -> Target:
    """The target of that name (`cortex_m4` is `cortex-m4`), or of that TOML file."""
    table, digest, where = _merged(name_or_path, origin="--target", depth=0)
    return _target(TableReader(table, where), digest)


def _merged(name_or_path: str, origin: str, depth: int) -> tuple[dict[str, object], str, str]:
    """The file's table laid over that of the target it extends, the digest of all files, and the file's path."""
    if depth > _MAX_EXTENDS:
        raise UsageError(
            "target.extends", f"more than {_MAX_EXTENDS} target files extend each other", where=origin,
            hint="a target extends one that comes with aprgen; look for a circle",
        )  # fmt: skip
    path = _find(name_or_path, origin)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(
            "target.read", f"cannot read the target file: {error.strerror}", where=str(path), hint="check the path"
        ) from error
    digest = hashlib.sha256(data).hexdigest()
    try:
        table: dict[str, object] = tomllib.loads(data.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(
            "target.toml", f"no valid TOML: {error}", where=str(path), hint="see `aprgen targets` for examples"
        ) from error
    base_name = table.pop("extends", None)
    if base_name is None:
        return table, digest, str(path)
    if not isinstance(base_name, str):
        raise UsageError(
            "target.type", "extends is no text", where=str(path), hint='write extends = "cortex-m4"'
        )
    base, base_digest, _ = _merged(base_name, origin=str(path), depth=depth + 1)
    combined = hashlib.sha256(f"{digest} {base_digest}".encode()).hexdigest()
    return _laid_over(table, base), combined, str(path)


def _laid_over(table: Mapping[str, object], base: Mapping[str, object]) -> dict[str, object]:
    """Tables merge key by key; everything else, lists included, replaces."""
    result = dict(base)
    for key, value in table.items():
        below = base.get(key)
        result[key] = _laid_over(value, below) if isinstance(value, dict) and isinstance(below, dict) else value
    return result


def _find(name_or_path: str, origin: str) -> Path:
    if name_or_path.endswith(".toml") or "/" in name_or_path:
        path = Path(name_or_path)
        if path.is_file():
            return path
        raise UsageError(
            "target.file", f"no target file {name_or_path!r}", where=origin,
            hint=f"give a TOML file that exists, or one of: {', '.join(target_names())}",
        )  # fmt: skip
    wanted = name_or_path.strip().lower().replace("_", "-")
    names = target_names()
    if wanted in names:
        return folder("targets") / f"{wanted}.toml"
    near = get_close_matches(wanted, names, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known targets: {', '.join(names)}"
    raise UnsupportedError("target.unknown", f"no target is called {name_or_path!r}", where=origin, hint=hint)


def _cost(reader: TableReader) -> Cost:
    made = Cost(
        reader.count("float_compare"), reader.count("integer_compare"), reader.count("float_to_key"),
        reader.flag("any_address", default=False), reader.flag("last_calls", default=False),
        reader.count("frame_bytes") if "frame_bytes" in reader.left else None,
    )  # fmt: skip
    reader.end()
    return made


def _target(reader: TableReader, digest: str) -> Target:
    arithmetic = reader.table("arithmetic")
    float_unit = arithmetic.one_of("float_unit", _FLOAT_UNITS)
    float_header = arithmetic.text("float_header", "")
    fused = arithmetic.flag("fused", default=False)
    arithmetic.end()
    image = reader.one_of("image", _IMAGES, "elf")
    cost = reader.table("cost")
    variants = _variants(reader)
    digests = [digest, *(variant.target.sha256 for variant in variants if variant.target is not None)]
    target = Target(
        name=reader.text("name"),
        summary=reader.text("summary"),
        templates=reader.texts("templates"),
        runtime=reader.texts("runtime", ()),
        weights=reader.one_of("weights", _WEIGHTS, "rows"),
        harness=reader.texts("harness"),
        support=reader.texts("support"),
        image=image,
        float_unit=float_unit,
        float_header=float_header,
        fused=fused,
        cost=_cost(cost),
        text=_text(reader.optional_table("text")),
        batch=_batch(reader.optional_table("batch")),
        memory=_memory(reader.optional_table("memory")),
        board=_board(reader.optional_table("board")),
        builds=tuple(_build(rule) for rule in reader.tables("build")),
        runs=tuple(_run(rule) for rule in reader.tables("run")),
        variants=variants,
        sha256=digest if len(digests) == 1 else hashlib.sha256(" ".join(digests).encode()).hexdigest(),
    )
    reader.end()
    if not target.templates or not target.harness:
        raise reader.wrong("templates", "or harness is empty", 'the last template folder is "c99"')
    return target


def _text(reader: TableReader | None) -> TextCost:
    """What is not stated is as on a wide core."""
    if reader is None:
        return TextCost()
    stated = {one.name: reader.count(one.name, 1) for one in fields(TextCost) if one.name in reader.left}
    reader.end()
    return TextCost(**stated)


def _batch(reader: TableReader | None) -> BatchCost | None:
    if reader is None:
        return None
    batch = BatchCost(
        rows=reader.count("rows", 1),
        few_rows=reader.count("few_rows", 1),
        buffer_bytes=reader.count("buffer_bytes", 1),
        sums_bytes=reader.count("sums_bytes", 1) if "sums_bytes" in reader.left else None,
        grouped=reader.flag("grouped", default=False),
        counted=reader.flag("counted", default=False),
        spans=reader.flag("spans", default=False),
        fan=reader.count("fan", 2),
        signed=reader.flag("signed", default=False),
        level_rows=reader.count("level_rows", 1) if "level_rows" in reader.left else None,
        turned_rows=reader.count("turned_rows", 1) if "turned_rows" in reader.left else None,
        bit_rows=reader.count("bit_rows", 1) if "bit_rows" in reader.left else None,
        line_bytes=reader.count("line_bytes", 1) if "line_bytes" in reader.left else 0,
        split=reader.count("split", 1),
        code=reader.count("code", 1),
        level_tree=reader.count("level_tree"),
        level_split=reader.count("level_split", 1) if "level_split" in reader.left else None,
        bit_split=reader.count("bit_split", 1) if "bit_split" in reader.left else None,
        permuted_tree=reader.count("permuted_tree", 1) if "permuted_tree" in reader.left else None,
        permuted_bytes=reader.count("permuted_bytes", 1) if "permuted_bytes" in reader.left else None,
        turned_tree=reader.count("turned_tree", 1) if "turned_tree" in reader.left else None,
        turned_bytes=reader.count("turned_bytes", 1) if "turned_bytes" in reader.left else None,
        turned_code=reader.count("turned_code", 1) if "turned_code" in reader.left else None,
        permuted_row=reader.count("permuted_row", 1) if "permuted_row" in reader.left else None,
        walked_row=reader.count("walked_row", 1) if "walked_row" in reader.left else None,
        walked_split=reader.count("walked_split", 1) if "walked_split" in reader.left else None,
        walked_top=reader.count("walked_top", 1) if "walked_top" in reader.left else None,
        walked_lines=reader.count("walked_lines", 1) if "walked_lines" in reader.left else None,
        staged_tree=reader.count("staged_tree", 1) if "staged_tree" in reader.left else None,
        staged_step=reader.count("staged_step", 1) if "staged_step" in reader.left else None,
        stepped_row=reader.count("stepped_row", 1) if "stepped_row" in reader.left else None,
        float_split=reader.count("float_split", 1) if "float_split" in reader.left else None,
        float_row=reader.count("float_row", 1) if "float_row" in reader.left else None,
        far_level=reader.count("far_level", 1) if "far_level" in reader.left else None,
        floats=_floats(reader.optional_table("floats")),
        integers=_integers(reader.optional_table("integers")),
    )
    reader.end()
    return batch


def _floats(reader: TableReader | None) -> FloatCost | None:
    if reader is None:
        return None
    below = reader.optional_table("fused")
    fused = None if below is None else FusedCost(**_counts(below, FusedCost))
    made = FloatCost(**_counts(reader, FloatCost), fused=fused)
    for table in (below, reader):
        if table is not None:
            table.end()
    return made


def _counts(reader: TableReader, kind: type[FloatCost] | type[FusedCost]) -> dict[str, int]:
    """Its numbers; those with a default may be left out."""
    every = [one for one in fields(kind) if one.name != "fused"]
    return {one.name: reader.count(one.name, 1) for one in every if one.default is MISSING or one.name in reader.left}


def _integers(reader: TableReader | None) -> IntegerForm | None:
    if reader is None:
        return None
    made = IntegerForm(
        width=reader.count("width", 1),
        tile_rows=reader.count("tile_rows", 1),
        tile_panels=reader.count("tile_panels", 1),
        hidden_bytes=reader.count("hidden_bytes", 1),
        byte_codes=reader.one_of("byte_codes", _BYTE_CODES),
        byte_group=reader.count("byte_group", 1),
        pair_group=reader.count("pair_group", 1),
        column_total=reader.count("column_total", 1) if "column_total" in reader.left else None,
    )
    reader.end()
    if (made.byte_group, made.pair_group) not in {(b, p) for b in (1, 2, 4) for p in (1, 2)} or made.width % 4:
        raise reader.wrong("byte_group", "divides 4, pair_group 2, and 4 the width", "see the targets of aprgen")
    return made


def _variants(reader: TableReader) -> tuple[Variant, ...]:
    """Each after what it needs less than: the first needs nothing, so that there is always one to pick."""
    if "variant" not in reader.left:
        return ()
    made: list[Variant] = []
    for rule in reader.tables("variant"):
        name, word = rule.text("name"), rule.text("target", "")
        of_target = None
        if word:
            table, digest, where = _merged(word, origin=f"{rule.where}, {rule.prefix}target", depth=0)
            if "variant" in table:
                raise rule.wrong("target", f"{word} has variants itself", "name a target with kernels of one kind")
            of_target = _target(TableReader(table, where), digest)
        made.append(Variant(name, of_target, rule.texts("instructions", ()), rule.texts("needs", ())))
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or name in [one.name for one in made[:-1]]:
            raise rule.wrong("name", f"is {name!r}", "use lower case letters and digits, another name for each")
        rule.end()
    if made[0].needs or made[0].instructions:
        raise reader.wrong("variant", "needs something the first time", "what runs everywhere stands first")
    return tuple(made)


def _memory(reader: TableReader | None) -> Memory | None:
    if reader is None:
        return None
    memory = Memory(reader.count("flash_bytes", 1), reader.count("ram_bytes", 1))
    reader.end()
    return memory


def _board(reader: TableReader | None) -> Board | None:
    if reader is None:
        return None
    board = Board(
        code_origin=reader.count("code_origin"),
        code_bytes=reader.count("code_bytes", 1024),
        ram_origin=reader.count("ram_origin"),
        ram_bytes=reader.count("ram_bytes", 1024),
    )
    reader.end()
    return board


def _build(reader: TableReader) -> BuildRule:
    rule = BuildRule(
        name=reader.text("name"),
        origin=reader.one_of("origin", _ORIGINS),
        package=reader.text("package"),
        programs=reader.texts("programs", ()),
        module=reader.text("module", ""),
        arguments=reader.texts("arguments", ()),
        linkers=reader.texts("linkers", ()),
        cflags=reader.texts("cflags"),
        ldflags=reader.texts("ldflags", ()),
        libraries=reader.texts("libraries", ()),
        image_flags=reader.texts("image_flags", ()),
        alone_flags=reader.texts("alone_flags", ()),
        keep=reader.text("keep", "-Wl,-u,{symbol}"),
        shared=reader.texts("shared", ()),
        stack_usage=reader.flag("stack_usage", default=False),
        marks=reader.flag("marks", default=False),
        always_marked=reader.flag("always_marked", default=False),
        host_machine=reader.text("host_machine", ""),
        environment=reader.mapping("environment"),
    )
    reader.end()
    if bool(rule.programs) == bool(rule.module):
        raise reader.wrong("programs", "or module: give one of the two", "programs are on PATH, a module is Python's")
    if rule.always_marked and not rule.marks:
        raise reader.wrong("always_marked", "needs marks", "write marks = true beside it")
    return rule


def _run(reader: TableReader) -> RunRule:
    rule = RunRule(
        kind=reader.text("kind"),
        origin=reader.one_of("origin", _ORIGINS),
        program=reader.text("program", ""),
        package=reader.text("package", ""),
        machine=reader.text("machine", ""),
        cpu=reader.text("cpu", ""),
        needs=reader.texts("needs", ()),
        host_machine=reader.text("host_machine", ""),
    )
    reader.end()
    return rule
