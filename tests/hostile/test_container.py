"""The container layer over every hostile file: it refuses or opens, quickly, in bounded memory, and never crashes."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from aprgen.container import inspect_container, open_container
from aprgen.errors import AprgenError
from tests.hostile.make import SOURCES, hostile_files
from tests.hostile.protectedfiles import largest

SECONDS = 2.0
PEAK_KIB = 300 << 10

HUNGRY = (
    "container/no_apr/too_many_bytes",
    "container/compression/zstd_claims_63_mib_of_1_gib",
    "container/compression/lz4_claims_60_mib",
    "container/metadata/many_maps",
    "container/v2/tensors_100_on_4_mib",
    "payload/counts/linear_16_million",
)

MEASURE = """
import re, sys
from pathlib import Path
from aprgen.container import Limits, inspect_container, load_bytes, open_container
from aprgen.errors import AprgenError
for use in (open_container, inspect_container):
    try:
        use(load_bytes(Path(sys.argv[1])))
    except AprgenError:
        pass
print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text()).group(1))
"""


def test_there_are_enough() -> None:
    """The generator gives at least 250 files, each under one name, the same ones every time."""
    first = [(name, hash(data)) for name, data in hostile_files()]

    assert len(first) >= 250
    assert len(first) == len({name for name, _ in first})
    assert first == [(name, hash(data)) for name, data in hostile_files()]


@pytest.mark.parametrize("prefix", [prefix for prefix, _ in SOURCES])
def test_container_survives(prefix: str) -> None:
    """Files of `container/` are refused, of `payload/` opened; nothing but AprgenError is raised, within 2 s each."""
    source = dict(SOURCES)[prefix]
    for name, data in source():
        started = time.process_time()
        refused: AprgenError | None = None
        try:
            open_container(data)
        except AprgenError as error:
            refused = error
        found = inspect_container(data)

        assert time.process_time() - started < SECONDS, name
        assert bool(found.problems) == (refused is not None), name
        if refused is not None:
            assert refused.exit_status in (3, 4, 5), name
            assert str(refused) == str(found.problems[0]), name
            assert refused.where, name
            assert refused.hint, name
            assert len(refused.lines()) == len(str(refused).splitlines()), name
        if prefix.startswith("container/"):
            assert refused is not None, name
        if prefix.startswith("payload/"):
            assert refused is None, name


@pytest.mark.parametrize("name", HUNGRY)
def test_memory_is_bounded(name: str, tmp_path: Path) -> None:
    """The files made to fill the memory are opened and inspected in less than 300 MB, the interpreter included."""
    if not Path("/proc/self/status").exists():
        pytest.skip("the peak is read from /proc")
    path = tmp_path / "hostile.apr"
    prefix, _, file = name.rpartition("/")
    path.write_bytes(dict(dict(SOURCES)[prefix]())[file])
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(path)], capture_output=True, text=True, check=True, timeout=60
    )

    assert int(done.stdout) < PEAK_KIB


PROTECTED = """
import re, sys
from pathlib import Path
from aprgen.container import inspect_container, load_bytes, open_container
from tests.hostile.protectedfiles import access_to_largest
data = load_bytes(Path(sys.argv[1]))
file = open_container(data, access=access_to_largest())
assert file.verification.state == "trusted" and file.encryption.opened
print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text()).group(1))
"""


def test_memory_of_protected_files(tmp_path: Path) -> None:
    """A signed and encrypted file as large as the limits allow is verified and opened in less than 300 MB."""
    if not Path("/proc/self/status").exists():
        pytest.skip("the peak is read from /proc")
    path = tmp_path / "large.apr"
    path.write_bytes(largest())
    done = subprocess.run(
        [sys.executable, "-c", PROTECTED, str(path)], capture_output=True, text=True, check=True, timeout=60
    )

    assert int(done.stdout) < PEAK_KIB
