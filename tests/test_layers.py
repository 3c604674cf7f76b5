"""Imports go one way: the layers, bottom first, and who alone may know what. Read from the sources."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import aprgen

ROOT = Path(aprgen.__file__).parent

# A module imports from layers below its own, and from its own package (below: container, families, ops, ...).
LAYERS: tuple[tuple[str, ...], ...] = (
    # nouns and numbers: import nothing of ours
    ("errors", "program", "mathf", "fused", "unicode_case", "resources", "costs"),
    ("container", "ops", "spell", "table_reader", "process", "elf", "wasm", "output_folder", "label_order"),
    ("target",),
    ("trees", "passes", "toolchain", "rows", "native", "key_files", "third_party", "spelled_trees"),
    ("accuracy", "tuned"),
    ("float_modes",),
    ("families", "emit", "image", "text_rows"),
    ("loaded", "variants", "selftest_rows"),
    ("footprint", "runners", "core"),  # core makes texts; footprint and runners take images: neither knows the other
    ("measured", "payload_form", "device_loader"),
    ("build", "wcet"),
    ("in_process",),
    ("verify", "budgets", "tuning"),
    ("exploration", "bundle"),
    ("exploration_page", "search", "scons_steps"),
    ("api", "cli", "scons"),
    ("estimators", "strategies", "__main__"),
)
PACKAGES = ("container", "ops", "passes", "native", "families", "runners", "wcet", "bundle", "cli", "tuned")

# Imports inside functions: for a fast start only, never to break a cycle.
LAZY = {
    "__init__": ("aprgen.api", "aprgen.strategies"),  # `import aprgen` must not load numpy
    "api": (  # the extra `wcet` may not be installed
        "aprgen.exploration", "aprgen.key_files", "aprgen.search", "aprgen.wcet.analyse", "aprgen.wcet.load",
        "aprgen.wcet.page", "aprgen.wcet.report", "aprgen.wcet.taskset",
    ),
    "container.v1": (  # cryptography is only needed by protected files
        "aprgen.container.encryption", "aprgen.container.signature",
    ),
    "container.source": ("fcntl",),  # not on every system
    "cli.access": ("aprgen.key_files",),  # for the same reason
    "cli": tuple(
        f"aprgen.cli.{verb}"
        for verb in (
            "bundle", "compile", "convert", "explore", "inspect", "loader", "protect", "run", "targets", "test",
            "tune", "validate", "wcet",
        )
    ),
    "cli.compile": ("aprgen.cli.budgeted", "aprgen.cli.footprint_facts", "aprgen.cli.report", "aprgen.measured"),
    "cli.inspect": ("aprgen.cli.inspect_boxes",),  # --format json draws no boxes
    "cli.progress": ("rich.console", "rich.progress"),  # only drawn after a second
    "measured": ("aprgen.footprint",),  # loaded while the compiler runs
}

# Who alone imports what, so that what it knows has one home.
ONLY = {
    "jinja2": ("emit", "wcet.page"),  # C, and the report
    "subprocess": ("process", "scons_steps"),
    "ctypes": ("runners.shared",),
    "zstandard": ("container.compression",),
    "lz4": ("container.compression",),
    "msgpack": ("container.messagepack",),
    "nacl": ("container.sodium",),
    "cryptography": ("container.openssl", "container.pem"),
    "elftools": ("elf", "wcet.marks", "wcet.shipped", "wcet.sources"),
    "SCons": ("scons", "scons_steps"),
}


@dataclass(frozen=True)
class Import:
    module: str  # that imports, without "aprgen."
    what: str  # full name
    lazy: bool
    line: int


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


MODULES = {name_of(path): path for path in sorted(ROOT.rglob("*.py"))}


def imports_of(module: str) -> Iterator[Import]:
    """Every import of a module; `from aprgen import core` counts as aprgen.core, a name in a module as the module."""
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    inside = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import"
            source = node.module or ""
            for alias in node.names:
                full = f"{source}.{alias.name}"
                names.append(full if full.removeprefix("aprgen.") in MODULES and source != full else source)
        for name in names:
            yield Import(module, name, id(node) in inside, node.lineno)  # type: ignore[attr-defined]


ALL = [one for module in MODULES for one in imports_of(module)]
OWN = [one for one in ALL if one.what.startswith("aprgen.")]


def layer_of(module: str) -> int:
    """By the longest name in the table that the module is or lies in."""
    room = module.split(".")[0]
    for index, names in enumerate(LAYERS):
        if room in names:
            return index
    raise AssertionError(f"aprgen/{module} stands in no layer of tests/test_layers.py")


def package_of(module: str) -> str:
    room = module.split(".")[0]
    return room if room in PACKAGES else module


@pytest.mark.parametrize("module", [name for name in MODULES if name != "__init__"])
def test_imports_go_down(module: str) -> None:
    """Every module imports from lower layers, or from its own package."""
    wrong = [
        f"aprgen/{one.module}, line {one.line}: {one.what}"
        for one in OWN
        if one.module == module
        for what in [one.what.removeprefix("aprgen.")]
        if layer_of(what) >= layer_of(module) and package_of(what) != package_of(module)
    ]

    assert wrong == []


def test_no_module_of_the_table_is_gone() -> None:
    """Every name in the table is a module or a package."""
    rooms = {module.split(".")[0] for module in MODULES} - {"__init__"}

    assert {name for names in LAYERS for name in names} == rooms


def test_there_is_no_cycle() -> None:
    """Inside packages too, imports (lazy ones included) form no circle."""
    below: dict[str, set[str]] = {module: set() for module in MODULES}
    for one in OWN:
        target = one.what.removeprefix("aprgen.")
        if target in below and target != one.module and not (one.module in PACKAGES and one.lazy):
            below[one.module].add(target)
    # A package's own modules may be read by its __init__, never the other way.
    done: set[str] = set()
    waiting = dict(below)
    while waiting:
        free = [module for module, needs in waiting.items() if needs <= done]
        assert free, f"a circle among {sorted(waiting)}"
        done.update(free)
        for module in free:
            del waiting[module]

    assert done == set(MODULES)


def test_imports_inside_functions() -> None:
    """They are those of the table, each with its reason."""
    found: dict[str, set[str]] = {}
    for one in ALL:
        if one.lazy:
            found.setdefault(one.module, set()).add(one.what)

    assert {module: sorted(names) for module, names in LAZY.items()} == {
        module: sorted(names) for module, names in found.items()
    }


@pytest.mark.parametrize("library", ONLY)
def test_each_library_has_one_home(library: str) -> None:
    """Jinja in emit, processes in process, compression in container, and so on."""
    found = {one.module for one in ALL if one.what.split(".")[0] == library}

    assert found <= set(ONLY[library])
    assert found


def test_families_and_ops_know_no_c() -> None:
    """What a model means and computes knows nothing of targets, templates, spelling or processes."""
    outside = {"spell", "emit", "target", "toolchain", "process", "image", "runners", "core"}
    wrong = [
        f"{one.module}: {one.what}"
        for one in OWN
        if package_of(one.module) in ("families", "ops", "container")
        and one.what.removeprefix("aprgen.").split(".")[0] in outside
    ]

    assert wrong == []


def test_the_package_reads_no_environment_variable() -> None:
    """Behaviour comes from arguments; the environment is handed on to compilers, or holds what an option names."""
    found = {}
    for module, path in MODULES.items():
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
        uses = [line for line in lines if "environ" in line.replace("environment", "") or "getenv" in line]
        handed_on = "{**os.environ, **environment}"
        named_by_an_option = "os.environ.get(source.variable)" if module == "cli.access" else handed_on
        if uses:
            found[module] = [line for line in uses if handed_on not in line and named_by_an_option not in line]

    assert {module: lines for module, lines in found.items() if lines} == {}


def test_every_module_says_what_it_knows() -> None:
    """A docstring of at most eight lines opens every module."""
    for module, path in MODULES.items():
        docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
        assert docstring, module
        assert len(docstring.splitlines()) <= 8, module
