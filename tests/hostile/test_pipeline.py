"""Hostile files and models near the limits through the whole compiler: load, check, and C for two targets."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from aprgen.core import Artifact, Options, compile_model
from aprgen.errors import AprgenError
from aprgen.loaded import Loaded, check_model, load_model
from aprgen.target import Target, load_target
from tests.hostile.large import LARGE
from tests.hostile.make import SOURCES

TIMES = 30  # of work(): 2 s where that takes 70 ms; from the bytes to the C for one target
MOMENT = 0.3  # seconds
PEAK_KIB = 300 << 10
TARGETS = (load_target("host"), load_target("cortex-m4"))
WIDE = load_target("x86-avx512")  # has passes of its own
REFUSALS = (3, 4, 5)  # bad file, security, unsupported
OVER_BUDGET = 6

# The others are refused by load or check, before a target matters; of these, too, some are too large for either.
SOUND = frozenset(
    (
        "bayes_780000",
        "experts_256_forests",
        "forest_1000_members",
        "kmeans_11_wide",
        "linear_65536",
        "markov_20000_contexts",
        "markov_50000_commands",
        "markov_50000_words",
        "mixture_4000",
        "nearest_of_500000_by_power",
        "network_2000_layers",
        "network_4000_wide",
        "network_65536_out",
        "network_880_wide",
        "pca_11_wide",
        "scaler_65536",
        "terms_30000_of_8",
        "terms_500_long",
        "terms_60000",
        "tree_131072_leaves",
        "tree_131072_values",
    )
)

# Why each is worth a process of its own: what its peak was made of when it was still too high, or is now.
HUNGRY = {
    "bayes_8_million": "logarithms in float64 of all variances: 332 MB",
    "nearest_of_500000_by_power": "integer working space of powf for all distances at once: 428 MB",
    "kmeans_1_million": "a self-test with 4 million answers: 371 MB, and 86 MB of C",
    "nearest_of_5_million": "payload, points and labels, and a copy of each",
    "network_4000_wide": "a 64 MB tensor, in the file, as an array and as a table",
    "pca_11_wide": "15 MB of C, in pieces and whole",
    "terms_60000": "strings, and the tables made of them",
}

MEASURE = """
import re, sys
from pathlib import Path
from aprgen.container import load_bytes
from aprgen.core import Options, compile_model
from aprgen.loaded import load_model
from aprgen.errors import AprgenError
from aprgen.target import load_target
for target in ("host", "cortex-m4"):
    try:
        compile_model(load_model(load_bytes(Path(sys.argv[1]))), load_target(target), Options("model"))
    except AprgenError:
        pass
print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text()).group(1))
"""


def refusal_or_model(data: bytes) -> AprgenError | Loaded:
    try:
        loaded = load_model(data)
        check_model(loaded.model)
    except AprgenError as error:
        return error
    return loaded


def refusal_or_artifact(loaded: Loaded, target: Target) -> AprgenError | Artifact:
    try:
        return compile_model(loaded, target, Options("model"))
    except AprgenError as error:
        return error


def assert_says_why(name: str, error: AprgenError, allowed: tuple[int, ...]) -> None:
    """The status of a stage, and three lines of a length that a person reads: what, where, what to do."""
    assert error.exit_status in allowed, (name, error)
    assert error.where, (name, error)
    assert error.hint, (name, error)
    assert len(str(error).splitlines()) == 3, (name, error)
    assert len(str(error)) < 1_200, name


def work() -> float:
    """Seconds of this process for a loop of a fixed length: where other work makes the machine slow, for this, too."""
    started = time.process_time()
    sum(number * number for number in range(2_000_000))
    return time.process_time() - started


def assert_done_in_time(seconds: float, name: object, times: int = TIMES) -> None:
    """Against work() at that time; a moment is none."""
    assert seconds < MOMENT or seconds < times * max(work(), work()), name


def is_sound(name: str, data: bytes) -> bool:
    """Whether load and check let the model pass. What they and each target make of it is asserted on the way."""
    started = time.process_time()
    found = refusal_or_model(data)
    opening = time.process_time() - started
    assert_done_in_time(opening, name)
    if isinstance(found, AprgenError):
        assert_says_why(name, found, REFUSALS)
        return False
    for target in TARGETS:
        started = time.process_time()
        made = refusal_or_artifact(found, target)
        assert_done_in_time(opening + time.process_time() - started, (name, target.name))
        if isinstance(made, AprgenError):
            assert_says_why(name, made, (*REFUSALS, OVER_BUDGET))
        else:
            assert {"model.h", "model.c", "model_selftest.c", "manifest.json"} <= set(made.texts), name
    return True


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("prefix", [prefix for prefix, _ in SOURCES])
def test_hostile_files(prefix: str) -> None:
    """Each file is compiled, or refused in three lines with the status of its stage, without a warning; none keeps
    the compiler busy."""
    for name, data in dict(SOURCES)[prefix]():
        sound = is_sound(name, data)

        assert not (sound and prefix.startswith("container/")), name


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", LARGE)
def test_large_models(name: str) -> None:
    """Models near a limit compile or are refused without a warning, and none keeps the compiler busy."""
    assert (name in SOUND) == is_sound(name, LARGE[name]())


@pytest.mark.parametrize("name", sorted(SOUND))
def test_large_models_in_blocks(name: str) -> None:
    """A wide target has a second way to write, and as much time again for it."""
    found = refusal_or_model(LARGE[name]())
    assert isinstance(found, Loaded)
    started = time.process_time()
    made = refusal_or_artifact(found, WIDE)

    assert_done_in_time(time.process_time() - started, name, 2 * TIMES)
    if isinstance(made, AprgenError):
        assert_says_why(name, made, (*REFUSALS, OVER_BUDGET))


@pytest.mark.parametrize("name", HUNGRY)
def test_memory_is_bounded(name: str, tmp_path: Path) -> None:
    """The hungriest of them stay under 300 MB, interpreter and libraries included."""
    if not Path("/proc/self/status").exists():
        pytest.skip("the peak is read from /proc")
    path = tmp_path / "large.apr"
    path.write_bytes(LARGE[name]())
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(path)], capture_output=True, text=True, check=True, timeout=60
    )

    assert int(done.stdout) < PEAK_KIB, HUNGRY[name]
