"""`aprgen targets`: the list, one target in detail, and a user's own file."""

from __future__ import annotations

from pathlib import Path

from aprgen.target import target_names
from tests.cli.commands import Command, is_three_lines, process

KEYS = {"name", "summary", "float_unit", "flash_bytes", "ram_bytes", "compiler", "runner", "sha256"}


def test_list(aprgen: Command) -> None:
    """Every target that comes with aprgen is listed."""
    answer = aprgen("targets")

    assert (answer.status, answer.err) == (0, "")
    assert all(name in answer.out for name in target_names())


def test_json(aprgen: Command) -> None:
    """JSON has the same targets, with stable keys."""
    targets = aprgen("targets", "--format", "json").json["targets"]

    assert [target["name"] for target in targets] == list(target_names())
    assert all(set(target) >= KEYS for target in targets)


def test_one(aprgen: Command) -> None:
    """A target's details hold its memory, costs, compilers and runners."""
    target = aprgen("targets", "cortex-m4", "--format", "json").json["targets"][0]

    assert (target["flash_bytes"], target["ram_bytes"]) == (1 << 20, 128 << 10)
    assert [tool["name"] for tool in target["toolchains"]] == ["gcc", "zig"]
    assert [runner["kind"] for runner in target["runners"]] == ["qemu-system", "unicorn"]
    assert "compilers" in aprgen("targets", "cortex-m4").out


def test_own_file(aprgen: Command, tmp_path: Path) -> None:
    """A user's own TOML file works like a name."""
    path = tmp_path / "my-board.toml"
    path.write_text('extends = "cortex-m4"\nname = "my-board"\nsummary = "ours"\n')

    assert aprgen("targets", path, "--format", "json").json["targets"][0]["name"] == "my-board"


def test_unknown(aprgen: Command) -> None:
    """A name that is none is status 5, with those that are near."""
    answer = aprgen("targets", "cortex-m44")

    assert answer.status == 5
    assert is_three_lines(answer, "target.unknown")
    assert "cortex-m4" in answer.error_lines[2]


def test_nothing_installed(tmp_path: Path) -> None:
    """Missing programs are shown, and are no failure."""
    answer = process("targets", environment={"PATH": str(tmp_path), "HOME": str(tmp_path)})

    assert answer.status == 0
    assert all(name in answer.out for name in target_names())
