"""Files that are cut, written to or replaced while they are loaded or used: a typed error, and never a signal."""

from __future__ import annotations

import gc
import mmap
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import aprgen
from aprgen.container import Loading, MemoryFile, PagedFile, open_source
from aprgen.container.loading import MODES
from aprgen.container.source import Watch, sealed_copy
from aprgen.errors import AprgenError, ContainerError
from aprgen.loaded import load_model
from tests.loading.files import file_of, written

ROOT = Path(__file__).resolve().parents[2]
linux = pytest.mark.skipif(sys.platform != "linux", reason="sealed memory files are of Linux, where they must be")

# The child says when it is ready, waits for the file to be cut, and then touches every page of every array.
PLAIN_MAPPING = """
import mmap, sys
with open(sys.argv[1], "rb") as file:
    data = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
print("ready", flush=True)
sys.stdin.readline()
print(sum(data[:: 4096]))
"""
MODEL = """
import sys
import numpy as np
import aprgen
from aprgen.errors import AprgenError
model = aprgen.load(sys.argv[1], mode=sys.argv[2])
rows = np.zeros((2, model.n_features), np.float32)
first = model.predict(rows) if sys.argv[2] == "mapped" else None
tables = [step.op.points.data for step in model.loaded.model.lower().steps if hasattr(step.op, "points")] if (
    sys.argv[2] == "mapped") else []
before = [table.copy() for table in tables]
print("ready", flush=True)
sys.stdin.readline()
for table, kept in zip(tables, before):
    assert np.array_equal(table, kept)
try:
    model.predict(rows)
except AprgenError as error:
    print(error.code, type(error).__name__)
else:
    print("predicted")
"""


def change_in_use(code: str, path: Path, change: str, *words: str) -> tuple[int, str]:
    """Exit status and last line of a process that uses the file while it is changed."""
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path), *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as child:  # fmt: skip
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        changed(path, change)
        out, _ = child.communicate("go\n", timeout=60)
    return child.returncode, out.strip()


def changed(path: Path, how: str) -> None:
    if how == "cut":
        os.truncate(path, 100)
    elif how == "emptied":
        os.truncate(path, 0)
    elif how == "written":
        with path.open("r+b") as file:
            file.seek(path.stat().st_size // 2)
            file.write(b"\xff" * 64)
    elif how == "replaced":
        beside = path.with_suffix(".new")
        beside.write_bytes(b"another file")
        beside.rename(path)
    else:
        path.unlink()


@linux
def test_a_plain_mapping_would_be_killed(tmp_path: Path) -> None:
    """The danger is real: a process that maps the file itself dies of SIGBUS when it is cut."""
    status, _ = change_in_use(PLAIN_MAPPING, written(tmp_path, "native"), "cut")

    assert -signal.SIGBUS == status


@linux
@pytest.mark.parametrize(
    ("mode", "change", "says"),
    [
        ("mapped", "cut", "container.changed ContainerError"),
        ("mapped", "written", "container.changed ContainerError"),
        ("mapped", "replaced", "predicted"),
        ("lazy", "emptied", "container.changed ContainerError"),
    ],
)
def test_change_in_use(mode: str, change: str, says: str, tmp_path: Path) -> None:
    """Arrays of a mapped model stay what they were when the file is cut under them, and the next prediction is a typed
    error; a file put in its place is no change."""
    path = written(tmp_path, "native" if mode == "mapped" else "forest")

    assert (0, says) == change_in_use(MODEL, path, change, mode)


@pytest.mark.parametrize("change", ["cut", "emptied", "written", "replaced", "removed"])
@pytest.mark.parametrize("mode", ["mapped", "lazy"])
def test_prediction_after_a_change(mode: str, change: str, tmp_path: Path) -> None:
    """predict and classify look at the file first; what is walked already does not hide a change."""
    path = written(tmp_path, "forest")
    model = aprgen.load(path, mode=mode)  # type: ignore[arg-type]
    rows = np.zeros((1, model.n_features), np.float32)
    first = model.predict(rows)
    time.sleep(0.01)  # the clock of modification times is that coarse
    changed(path, change)

    if change in ("replaced", "removed"):
        assert first.tolist() == model.predict(rows).tolist()
        return
    for ask in (model.predict, model.classify):
        with pytest.raises(ContainerError, match="changed while it was in use") as refused:
            ask(rows)
        assert refused.value.code == "container.changed"
        assert str(path) == refused.value.where


def test_a_lazy_tree_after_a_change(tmp_path: Path) -> None:
    """A tree whose bytes were written to is noticed by their hash, even where the time of modification is put back."""
    path = written(tmp_path, "forest")
    stat = path.stat()
    trees = aprgen.load(path, mode="lazy").loaded.model.trees  # type: ignore[attr-defined]
    data = bytearray(path.read_bytes())
    data[2000] ^= 1  # in the first tree
    path.write_bytes(bytes(data))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    with pytest.raises(ContainerError, match="is another one"):
        trees[0].n_nodes  # noqa: B018
    os.truncate(path, 1000)
    with pytest.raises(ContainerError, match="it ends at byte 1000"):
        trees[1].n_nodes  # noqa: B018


@pytest.mark.parametrize("name", ["knn", "knn_zstd", "knn_lz4", "net_f32", "signed"])
@pytest.mark.parametrize("change", ["cut", "written"])
def test_change_between_passes(name: str, change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Streaming reads a file more than once; one that is changed between is refused, and never half of each used."""
    path = tmp_path / "m.apr"
    path.write_bytes(signed_knn() if name == "signed" else file_of(name))
    size = path.stat().st_size
    into = Watch.read_into
    done = False

    def then_changed(self: Watch, buffer: memoryview, start: int) -> None:
        nonlocal done
        into(self, buffer, start)
        if not done and start + len(buffer) == size:  # the end of the first pass
            done = True
            changed(path, change)

    monkeypatch.setattr(Watch, "read_into", then_changed)
    with pytest.raises(ContainerError) as refused:
        aprgen.load(path, mode="streaming")

    assert done
    assert refused.value.code == "container.changed"


def signed_knn() -> bytes:
    from aprgen.container.protected import sign_v1
    from aprgen.container.suites import STANDARD
    from tests.hostile.protectedfiles import key_of

    return sign_v1(file_of("knn"), key_of(STANDARD, "sign"))


@pytest.mark.parametrize("mode", ["mapped", "streaming"])
def test_cut_while_it_is_copied(mode: str, tmp_path: Path) -> None:
    """A file that was cut after it was opened is refused by every mode that knows its size."""
    path = written(tmp_path, "knn")
    watch = Watch(path)
    os.truncate(path, 70_000)
    read = sealed_copy if mode == "mapped" else PagedFile
    with pytest.raises(ContainerError) as refused:
        read(watch)

    assert "container.changed" == refused.value.code
    assert "it ends at byte 70000" in refused.value.what


@linux
def test_the_copy_is_sealed(tmp_path: Path) -> None:
    """Nobody can cut, grow or write the memory file, through its entry in /proc neither."""
    source = open_source(written(tmp_path, "native"), Loading(mode="mapped"))
    assert isinstance(source, MemoryFile)
    assert isinstance(source.data, memoryview)
    assert isinstance(source.data.obj, mmap.mmap)
    assert source.data.readonly
    links = [Path(link) for link in Path("/proc/self/fd").iterdir()]
    entries = [link for link in links if link.is_symlink() and "memfd:apr" in os.readlink(link)]
    assert entries
    for entry in entries:
        with pytest.raises(PermissionError):
            os.truncate(entry, 10)
        with pytest.raises(PermissionError), entry.open("r+b") as file:
            file.write(b"x" * 64)
    assert file_of("native") == source.data


def test_without_memory_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there are none, mapped reads the file into bytes once; all else is the same."""
    path = written(tmp_path, "native")
    monkeypatch.delattr(os, "memfd_create", raising=False)
    source = open_source(path, Loading(mode="mapped"))
    assert isinstance(source, MemoryFile)
    assert isinstance(source.data, memoryview)
    assert isinstance(source.data.obj, bytes)
    model = aprgen.load(path, mode="mapped")
    points = next(step.op.points.data for step in model.loaded.model.lower().steps if hasattr(step.op, "points"))

    assert not points.flags.writeable
    assert isinstance(points.base.base, memoryview)
    time.sleep(0.01)
    os.truncate(path, 100)
    with pytest.raises(ContainerError, match="changed"):
        model.predict(np.zeros((1, model.n_features), np.float32))


@linux
def test_without_sending(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that cannot send to a memory file is read in pieces."""

    def refused(*words: object) -> int:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(os, "sendfile", refused)
    source = open_source(written(tmp_path, "native"), Loading(mode="mapped"))
    assert isinstance(source, MemoryFile)

    assert file_of("native") == source.data


@linux
def test_descriptors_do_not_leak(tmp_path: Path) -> None:
    """Loading and dropping, and loading what is refused, leaves no file open."""
    path = written(tmp_path, "knn")
    bad = tmp_path / "bad.apr"
    bad.write_bytes(file_of("knn")[:-1] + b"?")

    def used() -> int:
        return len(os.listdir("/proc/self/fd"))

    gc.collect()  # what other tests left
    before = used()
    gc.disable()
    try:
        for mode in MODES:
            aprgen.load(path, mode=mode)
        loaded = used()
    finally:
        gc.enable()
    for mode in MODES:
        with pytest.raises(AprgenError):
            aprgen.load(bad, mode=mode)
    gc.collect()  # the frames that the errors point to

    assert (before, before) == (loaded, used())


def test_loading_of_eager_looks_no_more_at_the_file(tmp_path: Path) -> None:
    """eager and streaming models are whole in memory: the file may go away."""
    for mode in ("eager", "streaming"):
        path = written(tmp_path, "forest")
        model = aprgen.load(path, mode=mode)  # type: ignore[arg-type]
        os.truncate(path, 0)

        assert model.predict(np.zeros((1, model.n_features), np.float32)).shape == (1, 4)
    assert load_model(file_of("forest")).watch is None
