"""The loading modes: the same model in each, and the memory that docs/loading.md promises for it."""

from __future__ import annotations

import gc
import mmap
import os
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import aprgen
from aprgen.container import AprV2File, Loading
from aprgen.container.cursor import NODE_BYTES
from aprgen.container.loading import LEAST_RING_BYTES, MODES, Mode
from aprgen.container.source import OBJECT_BYTES, PagedFile, Watch
from aprgen.errors import AprgenError, BudgetError, UsageError
from aprgen.loaded import Loaded, load_model
from aprgen.native import read_native
from aprgen.rows import random_rows, text_array
from aprgen.trees import LateTree
from tests.loading.files import LAYER, N_TREES, NAMES, POINTS, file_of, load_counted, written
from tests.recorded import fixtures

LATER: tuple[Mode, ...] = ("mapped", "streaming", "lazy")
MUCH = 1 << 30


def answers(loaded: Loaded) -> bytes:
    """What the model says to some rows, or why it says nothing."""
    try:
        loaded.model.check()
    except AprgenError as error:
        return str(error).encode()
    program = loaded.model.lower()
    if program.source.element != "f32":
        rows = text_array(list(program.steps[0].op.samples(3)))  # type: ignore[attr-defined]
    else:
        rows = random_rows(program, 4).values
    return loaded.model.predict(rows).tobytes()


@pytest.mark.parametrize("path", fixtures(), ids=lambda path: path.stem)
def test_fixtures_in_every_mode(path: Path) -> None:
    """The answers, the record, the digest and the findings are those of eager; so is a refusal."""
    found = []
    for mode in MODES:
        try:
            loaded = aprgen.load(path, mode=mode).loaded
        except AprgenError as error:
            found.append((str(error),))
            continue
        found.append((answers(loaded), loaded.record, loaded.sha256, loaded.findings, loaded.verification))

    assert [found[0]] * len(MODES) == found


@pytest.mark.parametrize("name", NAMES)
def test_larger_files_in_every_mode(name: str, tmp_path: Path) -> None:
    """Files of several windows and pages give the same answers, too."""
    path = written(tmp_path, name)
    found = {mode: answers(load_counted(path, Loading(mode=mode))[0]) for mode in MODES}

    assert len(file_of(name)) > 4096
    assert dict.fromkeys(MODES, found["eager"]) == found


def peak_of(path: Path, loading: Loading) -> tuple[Loaded, int, int]:
    """The model, the peak of what Python allocated for it, and what the account says."""
    gc.collect()
    tracemalloc.start()
    loaded, limits = load_counted(path, loading)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert limits.memory is not None
    return loaded, peak, limits.memory.most


SLOW = [(name, mode) for name in ("knn_lz4", "forest_lz4") for mode in ("streaming", "lazy")]  # LZ4 in Python, traced


@pytest.mark.parametrize(
    ("name", "mode"), [(n, m) for n in (*NAMES, "knn_large") for m in MODES if (n, m) not in SLOW]
)
def test_the_account_covers_the_peak(name: str, mode: Mode, tmp_path: Path) -> None:
    """What was taken from the budget is at least what was allocated at any time; with one byte less, it is refused
    before, and says how much would do."""
    path = written(tmp_path, name)
    load_counted(path, Loading(mode=mode))  # what libraries allocate once
    loaded, peak, most = peak_of(path, Loading(mode=mode, memory_bytes=MUCH))
    enough, _ = load_counted(path, Loading(mode=mode, memory_bytes=most))
    tracemalloc.start()
    with pytest.raises(BudgetError) as refused:
        load_counted(path, Loading(mode=mode, memory_bytes=most - 1))
    refused_peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak <= most
    assert refused_peak <= most
    assert loaded.sha256 == enough.sha256
    assert refused.value.code == "memory.budget"
    assert f"{most - 1}" in refused.value.what
    assert f"--memory {most}" in refused.value.hint


@pytest.mark.parametrize("name", ["forest", "knn", "knn_zstd19", "knn_lz4", "native", "net_f32", "net_f16", "net_q8"])
def test_streaming_holds_its_ring_buffer(name: str, tmp_path: Path) -> None:
    """Beside the result, Python allocates no more than the ring buffer and some small objects, never the file."""
    path = written(tmp_path, name)
    result = 2 * LAYER * LAYER * 4  # a network's weights as float32
    if not name.startswith("net"):
        result = len(file_of(name.partition("_")[0]))  # the payload; trees are decoded beside it
    if name == "forest":
        result += N_TREES * 511 * 48
    load_counted(path, Loading(mode="streaming"))
    _, peak, _ = peak_of(path, Loading(mode="streaming", memory_bytes=MUCH))

    assert peak <= result * 1.13 + LEAST_RING_BYTES  # zstd's result grows by eighths


def test_mapped_takes_no_memory_of_its_own(tmp_path: Path) -> None:
    """A megabyte of native payload or of training rows is used where it lies."""
    for name in ("native_large", "knn_large"):
        path = written(tmp_path, name)
        load_counted(path, Loading(mode="mapped"))
        _, peak, _ = peak_of(path, Loading(mode="mapped", memory_bytes=MUCH))

        assert peak < len(file_of(name)) // 6  # labels are converted


def mapping_under(array: np.ndarray[Any, Any]) -> object:
    """What an array is a view of, in the end."""
    base: object = array
    while isinstance(base, np.ndarray):
        base = base.base
    return base.obj if isinstance(base, memoryview) else base


def test_mapped_arrays_are_read_only_views(tmp_path: Path) -> None:
    """Points of k-NN in a native payload, training rows in bincode, and float32 tensors of v2 are views of the mapping,
    which cannot be made writeable."""
    native = load_model(open_mapped(written(tmp_path, "native")))
    points = next(step.op.points.data for step in native.model.lower().steps if hasattr(step.op, "points"))
    knn = load_model(open_mapped(written(tmp_path, "knn")))
    net = load_model(open_mapped(written(tmp_path, "net_f32")))
    assert isinstance(net.container, AprV2File)
    arrays = [points, knn.model.points, *(tensor.values for tensor in net.container.tensors)]  # type: ignore[attr-defined]

    assert (POINTS, 32) == points.shape
    for array in arrays:
        assert isinstance(mapping_under(array), mmap.mmap)
        assert not array.flags.writeable
        with pytest.raises(ValueError, match="WRITEABLE"):
            array.flags.writeable = True


def open_mapped(path: Path) -> Any:
    from aprgen.container import open_source

    return open_source(path, Loading(mode="mapped"))


def test_what_is_not_in_place_is_copied(tmp_path: Path) -> None:
    """Compressed payloads and tensors of other types than float32 are no views."""
    net = load_model(open_mapped(written(tmp_path, "net_f16")))
    assert isinstance(net.container, AprV2File)
    packed = load_model(open_mapped(written(tmp_path, "knn_zstd")))

    assert mapping_under(net.container.tensors[0].values) is None
    assert isinstance(mapping_under(packed.model.points), bytes)  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["forest", "forest_zstd"])
def test_lazy_reads_a_tree_when_it_is_walked(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After loading no tree is in memory; a walk reads its own, from the pages of the file where they lie."""
    loaded = load_model(open_lazy(written(tmp_path, name)))
    trees = loaded.model.trees  # type: ignore[attr-defined]
    read: list[tuple[int, int]] = []
    into = Watch.read_into

    def noted(self: Watch, buffer: memoryview, start: int) -> None:
        read.append((start, len(buffer)))
        into(self, buffer, start)

    monkeypatch.setattr(Watch, "read_into", noted)
    before = [tree.is_read for tree in trees]
    trees[3].walk(np.zeros((1, 16), np.float32))
    once = [tree.is_read for tree in trees]
    trees[3].walk(np.zeros((1, 16), np.float32))

    assert all(isinstance(tree, LateTree) for tree in trees)
    assert [False] * N_TREES == before
    assert [index == 3 for index in range(N_TREES)] == once
    assert (1 if name == "forest" else 0) <= len(read) <= 2  # one page or two, and once; unpacked ones are in memory


def open_lazy(path: Path) -> Any:
    from aprgen.container import open_source

    return open_source(path, Loading(mode="lazy"))


def test_lazy_keeps_no_payload(tmp_path: Path) -> None:
    """What stays of a plain forest is small: neither the payload nor its trees, without waiting for a collection."""
    path = written(tmp_path, "forest")
    load_counted(path, Loading(mode="lazy"))
    gc.collect()
    gc.disable()
    try:
        tracemalloc.start()
        loaded, _ = load_counted(path, Loading(mode="lazy"))
        kept = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
    finally:
        gc.enable()

    assert kept < 40_000 < len(file_of("forest")) // 2
    assert loaded.record is not None  # read again, and the same
    assert loaded.record == load_model(file_of("forest")).record


def test_lazy_reads_a_tensor_when_it_is_asked_for(tmp_path: Path) -> None:
    """Tensors of v2 are read one by one, each once; the network when something is first asked of it."""
    loaded = load_model(open_lazy(written(tmp_path, "net_f32")))
    assert isinstance(loaded.container, AprV2File)
    first, second = loaded.container.tensors
    before = ["values" in vars(tensor) for tensor in (first, second)]
    values = second.values
    after = ["values" in vars(tensor) for tensor in (first, second)]

    assert [False, False] == before
    assert [False, True] == after
    assert values is second.values
    assert loaded.model.n_features == LAYER
    assert "values" in vars(first)


def test_budget_of_lazy_trees_holds_after_loading(tmp_path: Path) -> None:
    """A tree that is walked later counts, too."""
    loaded, limits = load_counted(written(tmp_path, "forest"), Loading(mode="lazy", memory_bytes=MUCH))
    trees = loaded.model.trees  # type: ignore[attr-defined]
    assert limits.memory is not None
    limits.memory.take(limits.memory.left - 511 * NODE_BYTES - 20_000, "something else")

    assert trees[0].n_nodes == 511
    with pytest.raises(BudgetError, match="nodes of a tree"):
        trees[1].n_nodes  # noqa: B018
    assert trees[0].n_nodes == 511


def test_ring_buffer_of_other_sizes(tmp_path: Path) -> None:
    """A larger ring reads larger pages; the result is the same. Below the least, and above the most, is refused."""
    path = written(tmp_path, "knn_zstd")
    ring = LEAST_RING_BYTES * 3

    assert answers(load_counted(path, Loading(mode="streaming", ring_bytes=ring))[0]) == answers(
        load_counted(path, Loading(mode="eager"))[0]
    )
    for wrong in (0, LEAST_RING_BYTES - 1, 1 << 40):
        with pytest.raises(UsageError, match="ring buffer"):
            Loading(mode="streaming", ring_bytes=wrong)


@pytest.mark.parametrize(("field", "value"), [("level", "none"), ("mode", "fast"), ("memory_bytes", -1)])
def test_words_that_do_not_exist(field: str, value: object) -> None:
    """An unknown level or mode, or a negative budget, is a UsageError that says what there is."""
    with pytest.raises(UsageError) as refused:
        Loading(**{field: value})  # type: ignore[arg-type]

    assert refused.value.hint


def test_modes_need_a_plain_file(tmp_path: Path) -> None:
    """A device, a pipe or a folder cannot be mapped, streamed or read lazily."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for mode in LATER:
        with pytest.raises(UsageError):
            aprgen.load("/dev/null", mode=mode)
        with pytest.raises(UsageError, match="no plain file"):
            aprgen.load(pipe, mode=mode)  # at once, though nobody writes
        with pytest.raises(UsageError):
            aprgen.load(tmp_path, mode=mode)
        with pytest.raises(UsageError):
            aprgen.load(tmp_path / "missing", mode=mode)


def test_a_budget_smaller_than_anything(tmp_path: Path) -> None:
    """Even a file of 137 bytes takes its reader; the error comes before the file is read."""
    path = written(tmp_path, "native")
    for mode in MODES:
        for budget in (0, OBJECT_BYTES):
            with pytest.raises(BudgetError):
                aprgen.load(path, mode=mode, memory=budget)


def test_pages_give_any_range(tmp_path: Path) -> None:
    """piece() and windows() of a paged file are the slices of its bytes, across pages and at both ends."""
    path = written(tmp_path, "knn")
    data = path.read_bytes()
    paged = PagedFile(Watch(path))
    size = len(data)
    ranges = ((0, 0), (0, 1), (65_535, 65_537), (65_536, 131_072), (1, size), (size - 1, size), (7, size + 9))
    for start, stop in ranges:
        assert data[start:stop] == paged.piece(start, stop), (start, stop)
        assert data[start:stop] == b"".join(bytes(window) for window in paged.windows(start, stop)), (start, stop)


def test_native_payload_is_read_from_any_buffer() -> None:
    """bytes and views of bytes give one Program."""
    payload = load_model(file_of("native")).container.payload  # type: ignore[union-attr]

    assert read_native(payload).names == read_native(memoryview(payload)).names
