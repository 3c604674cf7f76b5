"""Hostile files through every mode and level: the same refusals as in memory, in time, and never anything else."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from aprgen.container import Loading, open_container, open_source
from aprgen.container.limits import DEFAULT_LIMITS
from aprgen.container.loading import LEVELS, MODES, Mode
from aprgen.errors import AprgenError, BudgetError
from aprgen.loaded import load_model
from tests.hostile.make import SOURCES
from tests.hostile.protectedfiles import protected

SECONDS = 2.0  # of processor time, as in tests/hostile
LARGE = 8 << 20  # larger files go through one mode only
BUDGET = 3 << 20
SLOW = ("container/no_apr", "payload/deep")


def refusal(path: Path, loading: Loading) -> str:
    """What open_container says to the file, "" when it takes it."""
    limits = DEFAULT_LIMITS.within(loading.memory_bytes)
    try:
        open_container(open_source(path, loading, limits), limits, checks=loading.checks)
    except AprgenError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("prefix", [prefix for prefix, _ in SOURCES])
def test_every_mode_says_the_same(prefix: str, tmp_path: Path) -> None:
    """What a hostile file is refused for does not depend on the mode, but that encrypted ones are not streamed, and
    that a damaged LZ4 block is called so in other words."""
    path = tmp_path / "hostile.apr"
    for name, data in dict(SOURCES)[prefix]():
        path.write_bytes(data)
        expected = refusal(path, Loading())
        # lazy opens as streaming does; what it reads later is in test_changes
        modes: tuple[Mode, ...] = ("streaming",) if len(data) > LARGE else ("mapped", "streaming")
        for mode in modes:
            started = time.process_time()
            found = refusal(path, Loading(mode=mode))

            assert time.process_time() - started < SECONDS, (name, mode)
            if "cannot be streamed" in found:
                assert "encrypted" in expected or "decrypt" in expected, name
            elif "LZ4 block is corrupt" in expected:
                assert "LZ4 block is corrupt" in found, name
            else:
                assert expected == found, (name, mode)


@pytest.mark.parametrize("prefix", [prefix for prefix, _ in SOURCES if prefix not in SLOW])
def test_every_level_refuses_clearly(prefix: str) -> None:
    """Without checksum and signature, more bytes reach the readers: nothing but AprgenError comes of it, and
    what standard takes, unsafe-skip takes."""
    statuses: set[int] = set()
    for name, data in dict(SOURCES)[prefix]():
        if len(data) > LARGE:
            continue
        taken = []
        for level in ("unsafe-skip", "standard"):
            started = time.process_time()
            limits = DEFAULT_LIMITS.within(64 << 20)
            try:
                load_model(data, limits=limits, checks=LEVELS[level])  # type: ignore[index]
            except AprgenError as error:
                statuses.add(error.exit_status)
            else:
                taken.append(level)
            assert time.process_time() - started < SECONDS, (name, level)
        assert "unsafe-skip" in taken or "standard" not in taken, name
    assert statuses <= {3, 4, 5, 6}


@pytest.mark.parametrize("mode", ["eager", "streaming"])
def test_a_budget_stops_bombs(mode: Mode, tmp_path: Path) -> None:
    """Files made to fill the memory are refused for the budget or for what is wrong with them, within 3 MiB."""
    import tracemalloc

    path = tmp_path / "bomb.apr"
    stopped = 0
    for prefix in ("container/compression", "container/metadata", "payload/counts"):
        for _, data in dict(SOURCES)[prefix]():
            if len(data) > LARGE:
                continue
            path.write_bytes(data)
            tracemalloc.start()
            try:
                loading = Loading(mode=mode, memory_bytes=BUDGET)
                limits = DEFAULT_LIMITS.within(BUDGET)
                load_model(open_source(path, loading, limits), limits=limits)
            except BudgetError:
                stopped += 1
            except AprgenError:
                pass
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert peak <= BUDGET

    assert stopped > 0


def test_encrypted_files_in_every_mode(tmp_path: Path) -> None:
    """Files of every suite open with their keys mapped and lazily, as they do eagerly; streaming refuses them."""
    path = tmp_path / "m.apr"
    for one in protected():
        if one.slow:
            continue
        path.write_bytes(one.data)
        for mode in MODES:
            source = open_source(path, Loading(mode=mode))
            if mode == "streaming" and one.data[21] & 1:
                with pytest.raises(AprgenError, match="cannot be streamed"):
                    open_container(source, access=one.access)
                continue
            assert open_container(one.data, access=one.access).payload == open_container(  # type: ignore[union-attr]
                source, access=one.access
            ).payload  # type: ignore[union-attr]
