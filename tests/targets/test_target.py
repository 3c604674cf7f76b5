"""Target files: what is read, and what is refused."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from aprgen.errors import AprgenError, UnsupportedError, UsageError
from aprgen.resources import folder
from aprgen.target import load_target, target_names

ISSUED = (
    "arm-neon",
    "cortex-m0plus",
    "cortex-m3",
    "cortex-m33",
    "cortex-m4",
    "cortex-m55",
    "cortex-m7",
    "host",
    "wasm",
    "x86-avx2",
    "x86-avx512",
)


def m4_text() -> str:
    return (folder("targets") / "cortex-m4.toml").read_text()


def test_all_promised_targets_come_with_aprgen() -> None:
    """The targets of the design are there."""
    assert set(target_names()) >= set(ISSUED)


@pytest.mark.parametrize("name", target_names())
def test_a_target_is_called_like_its_file(name: str) -> None:
    """Every file that comes with aprgen is valid and names itself."""
    assert load_target(name).name == name


@pytest.mark.parametrize("name", target_names())
def test_portable_templates_come_last(name: str) -> None:
    """Every target falls back to the portable C templates."""
    assert load_target(name).templates[-1] == "c99"


@pytest.mark.parametrize("name", target_names())
def test_a_target_has_all_folders_of_what_it_extends(name: str) -> None:
    """In their order, its own before or between them: no kernel of the other target is lost."""
    stated = tomllib.loads((folder("targets") / f"{name}.toml").read_text(encoding="utf-8")).get("extends")
    if stated is None:
        return
    target, other = load_target(name), load_target(stated)
    for own, theirs in ((target.templates, other.templates), (target.runtime, other.runtime)):
        assert [one for one in own if one in theirs] == list(theirs)


@pytest.mark.parametrize("name", target_names())
def test_no_build_depends_on_the_machine_it_runs_on(name: str) -> None:
    """No flag asks the compiler for the CPU of the machine at hand."""
    words = [word for rule in load_target(name).builds for word in (*rule.cflags, *rule.arguments)]

    assert [word for word in words if "native" in word] == []


@pytest.mark.parametrize("spelling", ["cortex_m4", "Cortex-M4", "cortex-m4"])
def test_spelling_of_names_is_forgiving(spelling: str) -> None:
    """Underscores and capitals name the same target."""
    assert load_target(spelling) == load_target("cortex-m4")


def test_unknown_target_names_the_near_ones() -> None:
    """A typing error is status 5 and shows what was probably meant."""
    with pytest.raises(UnsupportedError, match="cortex-m44") as caught:
        load_target("cortex-m44")

    assert caught.value.exit_status == 5
    assert "cortex-m4" in caught.value.hint


def test_a_file_of_ones_own_is_a_target(tmp_path: Path) -> None:
    """A path to a TOML file works like a name."""
    path = tmp_path / "board.toml"
    path.write_text(m4_text().replace('name = "cortex-m4"', 'name = "my-board"'))

    assert load_target(str(path)).name == "my-board"


def test_a_target_extends_another(tmp_path: Path) -> None:
    """A file may state only what differs; tables merge key by key."""
    path = tmp_path / "board.toml"
    path.write_text('extends = "cortex-m4"\nname = "small"\n[memory]\nflash_bytes = 4096\n')
    small, base = load_target(str(path)), load_target("cortex-m4")

    assert small.memory is not None
    assert base.memory is not None
    assert (small.memory.flash_bytes, small.memory.ram_bytes) == (4096, base.memory.ram_bytes)
    assert small.builds == base.builds


def test_digest_follows_the_bytes_of_every_file(tmp_path: Path) -> None:
    """A comment changes the digest of a target, and of one that extends it."""
    base, board = tmp_path / "base.toml", tmp_path / "board.toml"
    board.write_text(f'extends = "{base}"\n')
    base.write_text(m4_text())
    before = load_target(str(base)).sha256, load_target(str(board)).sha256
    base.write_text(m4_text() + "# a comment\n")
    after = load_target(str(base)).sha256, load_target(str(board)).sha256

    assert len({*before, *after}) == 4


def test_a_circle_of_targets_ends(tmp_path: Path) -> None:
    """A file that extends itself is refused."""
    path = tmp_path / "board.toml"
    path.write_text(f'extends = "{path}"\n')

    with pytest.raises(UsageError, match="extend each other"):
        load_target(str(path))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('float_unit = "single"', 'float_unit = "triple"', "arithmetic.float_unit is 'triple'"),
        ('float_unit = "single"', "", "arithmetic.float_unit is missing"),
        ("float_compare = 3", 'float_compare = "3"', "cost.float_compare must be a whole number"),
        ("float_compare = 3", "float_compare = 3\nspeed = 1", "cost.speed is no key"),
        ("[arithmetic]", "colour = 1\n[arithmetic]", "colour is no key"),
        ('origin = "system"', 'origin = "moon"', "origin is 'moon'"),
        ("code_bytes = 0x400000", "code_bytes = -1", "board.code_bytes must be a whole number"),
        ('templates = ["armdsp", "armvfp", "c99"]', 'templates = "c99"', "templates must be a list of texts"),
        ("[cost]", "[cost", "no valid TOML"),
        ("stack_usage = true", 'stack_usage = "yes"', "stack_usage must be true or false"),
        ('programs = ["arm-none-eabi-gcc"]', "", "give one of the two"),
    ],
)
def test_a_wrong_file_says_what_and_where(tmp_path: Path, old: str, new: str, said: str) -> None:
    """Every mistake in a target file is a usage error with the key and the file."""
    path = tmp_path / "board.toml"
    assert old in m4_text()
    path.write_text(m4_text().replace(old, new))

    with pytest.raises(UsageError) as caught:
        load_target(str(path))

    assert said in caught.value.what
    assert caught.value.where == str(path)


@pytest.mark.parametrize("name", ["./none.toml", "dir/none"])
def test_a_missing_file_is_a_usage_error(name: str) -> None:
    """What looks like a path is never taken for a name."""
    with pytest.raises(AprgenError) as caught:
        load_target(name)

    assert caught.value.exit_status == 2
