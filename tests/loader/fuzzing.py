"""A long run of libFuzzer on the device's loader with all its parts, from the corpus that the repository keeps.

    python -m tests.loader.fuzzing [--seconds 600] [--runs N] [--work build/fuzz] [--keep]

--keep stores what reaches most code in few bytes as tests/data/loader/corpus.zip, which test_fuzz.py replays.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

from aprgen.device_loader import THIRD_PARTY, plan_loader
from aprgen.target import load_target
from aprgen.third_party import parts
from tests.loader.archives import write_loader
from tests.loader.seeds import known, write

HERE = Path(__file__).parent
CORPUS = HERE.parent / "data" / "loader" / "corpus.zip"
MOST_KEPT = 190_000  # bytes of corpus.zip
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g", "-ffp-contract=off")
SECONDS_EACH = 2
STAMP = (2026, 1, 1, 0, 0, 0)  # of every file in the archive, so that it depends on their bytes alone


def build_with_parts(compiler: Sequence[str], work: Path, *main: Path) -> Path:
    """The entry with all parts, sanitized; `main` are files that call it, where the compiler brings no such thing.

    The folder keeps sources and objects. Decoders are those of boards: a host's are not what a device runs.
    """
    plan = plan_loader(load_target("host"), tuple(parts()))
    write_loader(plan, work)
    (work / "known.h").write_text(f"#include <stdint.h>\n{known()[1]}")
    small = {f"{THIRD_PARTY}/{name}": part.small for part in plan.parts for name in part.units}
    for unit in plan.units:
        include = [f"-I{name}" for name in unit.include]
        _compile(compiler, work, unit.path, *unit.flags, *small.get(unit.path, ()), *include)
    _compile(compiler, work, str(HERE / "fuzz.c"), *plan.defines, "-I.")
    for path in main:
        _compile(compiler, work, str(path))
    return _linked(compiler, work)


def rebuilt(compiler: Sequence[str], work: Path, unit: str) -> Path:
    """After an edit of one of the loader's own sources."""
    _compile(compiler, work, f"{unit}.c", *plan_loader(load_target("host"), tuple(parts())).defines, "-I.")
    return _linked(compiler, work)


def _compile(compiler: Sequence[str], work: Path, source: str, *flags: str) -> None:
    """The compiler's own words last: what a part is compiled with is for flash."""
    words = [compiler[0], *SANITIZERS, *flags, "-O1", *compiler[1:], "-c", source, "-o", f"{Path(source).stem}.o"]
    subprocess.run(words, cwd=work, check=True)


def _linked(compiler: Sequence[str], work: Path) -> Path:
    objects = sorted(path.name for path in work.glob("*.o"))
    subprocess.run([*compiler, *SANITIZERS, *objects, "-o", "fuzz"], cwd=work, check=True)
    return work / "fuzz"


def corpus() -> dict[str, bytes]:
    """What is kept, by name."""
    with zipfile.ZipFile(CORPUS) as archive:
        return {name: archive.read(name) for name in sorted(archive.namelist())}


def keep(fuzz: Path, found: Path, work: Path) -> int:
    """The smallest inputs that together reach all that was reached, as far as they fit; how many."""
    merged = work / "merged"
    merged.mkdir()
    words = [str(fuzz), "-merge=1", "-max_len=65536", str(merged), str(found)]
    subprocess.run(words, cwd=work, check=True, capture_output=True)
    CORPUS.parent.mkdir(parents=True, exist_ok=True)
    kept = 0
    with zipfile.ZipFile(CORPUS, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        total = 0
        for path in sorted(merged.iterdir(), key=lambda path: (path.stat().st_size, path.name)):
            info = zipfile.ZipInfo(path.name[:16], STAMP)
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, path.read_bytes())
            total += archive.getinfo(path.name[:16]).compress_size + 2 * len(info.filename) + 76  # with its headers
            kept += 1
            if total > MOST_KEPT:
                break
    return kept


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--runs", type=int, default=-1, help="no end by number when not given")
    parser.add_argument("--work", type=Path, default=Path("build/fuzz"))
    parser.add_argument("--keep", action="store_true", help="store the corpus")
    given = parser.parse_args(words)
    work = given.work.resolve()
    shutil.rmtree(work, ignore_errors=True)
    fuzz = build_with_parts(("clang-14", "-fsanitize=fuzzer"), work / "built")
    found = work / "found"
    write(found, 500)
    for name, data in corpus().items() if CORPUS.exists() else ():
        (found / name).write_bytes(data)
    options = (f"-max_total_time={given.seconds}", f"-runs={given.runs}", f"-timeout={SECONDS_EACH}", "-max_len=16384")
    done = subprocess.run(
        [str(fuzz), *options, "-print_final_stats=1", "-rss_limit_mb=2048", str(found)],
        cwd=work, capture_output=True, text=True, errors="replace", check=False,
    )  # fmt: skip
    (work / "log.txt").write_text(done.stderr)
    stats = dict(re.findall(r"^stat::(\w+): +(\d+)", done.stderr, re.MULTILINE))
    last = [line for line in done.stderr.splitlines() if " cov: " in line][-1:]
    print(f"exit status {done.returncode}; {stats.get('number_of_executed_units', '?')} inputs")
    print("".join(last).strip())
    print(f"memory {stats.get('peak_rss_mb', '?')} MB; {len(list(found.iterdir()))} inputs found")
    if done.returncode != 0:
        print(done.stderr[-3_000:])
    elif given.keep:
        print(f"{keep(fuzz, found, work)} inputs kept, {CORPUS.stat().st_size} bytes")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
