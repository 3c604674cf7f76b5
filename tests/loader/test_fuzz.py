"""The device's loader under the sanitizers: the corpus that long runs of libFuzzer left, payloads of which fields were
changed, and libFuzzer for a short while. fuzzing.py is the long run.
"""

from __future__ import annotations

import functools
import subprocess
from pathlib import Path

import pytest

from aprgen.resources import folder
from tests.conftest import give_up
from tests.differential.compiled import compile_c
from tests.emission.test_compilers import STRICT
from tests.loader.fuzzing import build_with_parts, corpus, rebuilt
from tests.loader.library import sources
from tests.loader.seeds import all_in_one, files, known, mutations, seeds, sweep, write

HERE = Path(__file__).parent
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g", "-O0")
CHANGED = 8_000
SWEPT = ("logreg_bc", "rfc")
RUNS = 3_000


@functools.cache
def swept() -> bytes:
    return all_in_one(payload for name in SWEPT for payload in sweep(name))


def replayer(work: Path, runtime: Path) -> Path:
    """The fuzzer's entry with a main of its own, and the loader in a folder, sanitized."""
    files = [str(runtime / Path(source).name) for source in sources()]
    own = (str(HERE / "fuzz.c"), str(HERE / "replay.c"))
    compile_c("gcc", ("-std=c11", *STRICT, *SANITIZERS, f"-I{runtime}", *own, *files, "-o", "replay"), work)
    return work / "replay"


def replay(program: Path, given: bytes) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([program], input=given, capture_output=True, timeout=120, check=False)


def test_the_corpus_with_every_part(tmp_path: Path) -> None:
    """What long runs found, and files of every compression, through decoders and signatures; each whole and cut.

    With a verifier that trusts its key alone, the entry sees that a changed file is taken for the signed one.
    """
    kept = list(corpus().values())
    signed, _ = known()
    changed = signed[:200] + bytes([signed[200] ^ 1]) + signed[201:]
    whole = (*kept, *(data for _, data in files()))
    given = all_in_one(one for data in whole for one in (data, data[: len(data) // 2]))
    program = build_with_parts(("gcc", "-O0"), tmp_path / "built", HERE / "replay.c")
    done = replay(program, given + all_in_one(iter([signed, changed])))

    assert done.stderr.decode(errors="replace") == ""
    assert len(kept) > 200
    assert int(done.stdout) == 2 * len(whole) + 2
    sound = "(apr_ed25519_verify(message, n, signature, key) == 1)"
    parts_c = program.parent / "apr_parts.c"
    text = parts_c.read_text()
    assert text.count(sound) == 1
    parts_c.write_text(text.replace(sound, "(message != NULL) && (n > 0U) && (signature != NULL)"))
    planted = rebuilt(("gcc", "-O0"), program.parent, "apr_parts")

    assert replay(planted, all_in_one(iter([signed]))).returncode == 0
    assert replay(planted, all_in_one(iter([changed]))).returncode != 0


def test_changed_fields(tmp_path: Path) -> None:
    """No payload makes the loader read or write outside, compute what is undefined, or run for long."""
    program = replayer(tmp_path, folder("runtime_c"))
    given = all_in_one(payload for _, payload in seeds()) + all_in_one(mutations(7, CHANGED)) + swept()
    done = subprocess.run([program], input=given, capture_output=True, timeout=120, check=False)

    assert done.stderr.decode(errors="replace") == ""
    assert int(done.stdout) > CHANGED


def test_libfuzzer(tmp_path: Path) -> None:
    """The same with inputs that libFuzzer finds by what they reach; each run within two seconds."""
    (tmp_path / "empty.c").write_text("int LLVMFuzzerTestOneInput(const char *d, long n) { return !d && n; }\n")
    probe = subprocess.run(
        ["clang-14", "-fsanitize=fuzzer,address,undefined", "empty.c", "-o", "empty"],
        cwd=tmp_path, capture_output=True, check=False,
    )  # fmt: skip
    if probe.returncode != 0:
        give_up("clang-14 cannot link libFuzzer: install libclang-rt-14-dev")
    runtime = folder("runtime_c")
    flags = ("-std=c11", *STRICT, "-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all", "-g", "-O1")
    compile_c("clang-14", (*flags, f"-I{runtime}", str(HERE / "fuzz.c"), *sources(), "-o", "fuzz"), tmp_path)
    write(tmp_path / "corpus", 100)
    done = subprocess.run(
        ["./fuzz", f"-runs={RUNS}", "-seed=1", "-max_len=16384", "-timeout=2", "-print_final_stats=1", "corpus"],
        cwd=tmp_path, capture_output=True, text=True, errors="replace", timeout=300, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr[-2_000:]
    assert "stat::number_of_executed_units" in done.stderr


@pytest.mark.parametrize(
    ("sound", "planted"),
    [
        ("((uint32_t)leaf < n_leaves)", "((uint32_t)leaf < (n_leaves + 40000U))"),
        ("(feature >= n_in)", "(feature > 60000U)"),
        ("(v->size > (head->value_words - v->at))", "(v->size > ((head->value_words + 1U) - v->at))"),
        ("(view->value[s].size != head->n_outputs) || ", ""),
    ],
)
def test_planted_faults_are_found(sound: str, planted: str, tmp_path: Path) -> None:
    """With one check left out, or off by one, the sanitizers complain about such payloads."""
    runtime = tmp_path / "runtime"
    runtime.mkdir()
    found = 0
    for path in folder("runtime_c").glob("*.[ch]"):
        text = path.read_text(encoding="utf-8")
        found += text.count(sound)
        (runtime / path.name).write_text(text.replace(sound, planted), encoding="utf-8")
    program = replayer(tmp_path, runtime)
    done = subprocess.run(
        [program], input=swept(), capture_output=True, timeout=120, check=False
    )

    assert found == 1
    assert done.returncode != 0
    assert b"AddressSanitizer" in done.stderr
