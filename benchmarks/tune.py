"""Measures strategies for blocks of rows on a grid of models, and says how well costs learned from them choose.

    python benchmarks/tune.py [--target NAME ...] [--seconds S] [--records FILE] [--model NAME ...] [--json FILE]
    python benchmarks/tune.py --quick     # three small models: does the benchmark work?

Models: classifiers of 10 to 300 trees, depth 4 to 12, 4 to 300 features, 2 to 32 classes; trees that are added, up to
depth 14 and 1,000 features; linear models, nearest points and networks. Each is tuned as `aprgen tune` does it, and its
records are added to the file, so that a run that ends early is not lost and several machines can be merged. Then the
table of `aprgen tune --evaluate`.
The costs in targets/x86-*.toml are those that this has learned on Zen 5; where they chose a slower form on Zen 4,
they were changed so that both choose well.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from here import finish, report_file
from tune_models import cases

from aprgen.cli import main as aprgen
from aprgen.runners.shared import why_not_here
from aprgen.target import load_target
from aprgen.tuned.evaluation import evaluate
from aprgen.tuned.learned import MANY_ROWS
from aprgen.tuned.records import add_records, read_records
from aprgen.tuning import Question, tune, words_of

SCHEMA = "aprgen.benchmarks.tune"
VERSION = 1
TARGETS = ("x86-avx512-vnni", "x86-avx512", "x86-avx2")
RECORDS = Path(__file__).with_name("tune_records.json")


def measure(targets: Sequence[str], names: Sequence[str], seconds: float, records: Path, *, quick: bool) -> None:
    for case in cases(quick=quick):
        if names and case.name not in names:
            continue
        loaded = case.make()
        for name in targets:
            began = time.monotonic()
            found = tune(loaded, "m", load_target(name), Question(seconds=seconds, few=not quick))
            add_records(records, found.records)
            many = [record for record in found.records if record.rows >= MANY_ROWS]
            best = many[0]
            print(
                f"{case.name:26} {name:16} {best.least:9,.1f} ns a row, {words_of(best.choices)}; next "
                f"{many[1].least / best.least:.2f}; {time.monotonic() - began:.1f} s", flush=True,
            )  # fmt: skip


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks/tune.py", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--target", nargs="+", default=list(TARGETS))
    parser.add_argument("--model", nargs="+", default=[], help="some of the models, by name")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each model and target")
    parser.add_argument("--records", type=Path, default=RECORDS)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=report_file)
    given = parser.parse_args(words)
    here = []
    for name in given.target:
        reason = why_not_here(load_target(name))
        here += [] if reason else [name]
        if reason:
            print(f"{name}: {reason}", flush=True)
    if not here:
        print("no target of these runs here")
        return 0
    measure(here, given.model, given.seconds, given.records, quick=given.quick)
    records, sha256 = read_records(given.records)
    if given.json is not None:
        found = evaluate(records, lambda name: load_target(name).batch)
        document = {
            "schema": SCHEMA, "version": VERSION, "records": sha256, "evaluations": [asdict(one) for one in found]
        }  # fmt: skip
        given.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return aprgen(["tune", "--evaluate", str(given.records)])


if __name__ == "__main__":
    sys.exit(finish(main))
