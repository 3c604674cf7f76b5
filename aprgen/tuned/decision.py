"""What records say to compile: the strategy that was measured to be the best, or costs from which the passes choose.

The answer depends on the file alone, never on the machine that asks. Knows no target by name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from aprgen.costs import BatchCost
from aprgen.errors import UnsupportedError, UsageError
from aprgen.passes.choices import BY_COST, Choices
from aprgen.program import Batch
from aprgen.target import Target
from aprgen.tuned.learned import MANY_ROWS, few_rows_of, learn
from aprgen.tuned.records import Record, read_records


@dataclass(frozen=True)
class Source:
    """Where a decision comes from. records: sha256 of the file."""

    records: str
    target: str
    cpu: str
    compiler: str


@dataclass(frozen=True)
class Decision:
    """by: "measured", this very model, or "learned" from others. trees, sums: the costs that the two passes take."""

    by: Literal["measured", "learned"]
    trees: BatchCost
    sums: BatchCost
    choices: Choices
    source: Source

    def facts(self, batch: Batch | None) -> dict[str, object]:
        """For the manifest, with what came of it. strategy null: rows are computed one by one."""
        facts = asdict(self.source) | {"by": self.by}
        if batch is None:
            return facts | {"strategy": None}
        return facts | {"strategy": {"forms": list(batch.forms), "rows": batch.rows, "few_rows": batch.few_rows}}


@dataclass(frozen=True, eq=False)
class Tuned:
    """The records of a file."""

    sha256: str
    records: tuple[Record, ...]
    name: str  # of the file, without the path

    def decide(self, model: str, numeric: str, target: Target) -> Decision:
        """For a model (the sha256 of its file). Of several machines and compilers, those with most records count.

        Raises UnsupportedError for a target without blocks of rows, UsageError when it has no records.
        """
        if target.batch is None:
            raise UnsupportedError(
                "tune.target", f"{target.name} has no strategies for blocks of rows", where="--tuned",
                hint="leave the records out",
            )  # fmt: skip
        own = usual_group([record for record in self.records if record.target == target.name])
        if not own:
            raise UsageError(
                "tune.no-records", f"there are no records for {target.name}", where=self.name,
                hint=f"measure some models with `aprgen tune MODEL --target {target.name}`",
            )  # fmt: skip
        source = Source(self.sha256, target.name, own[0].machine.cpu, own[0].compiler)
        same = [record for record in own if (record.model, record.numeric) == (model, numeric)]
        best = min((record for record in same if record.rows >= MANY_ROWS), key=_quickest, default=None)
        if best is not None:
            few_rows = few_rows_of(same)
            choices = best.choices if few_rows is None else replace(best.choices, few_rows=few_rows)
            return Decision("measured", target.batch, target.batch, choices, source)
        trees, sums = learn(own, "trees", target.batch), learn(own, "sums", target.batch)
        return Decision(
            "learned",
            target.batch if trees is None else trees.applied(target.batch),
            target.batch if sums is None or target.batch.floats is None else sums.applied(target.batch),
            BY_COST,
            source,
        )


def load_tuned(path: Path) -> Tuned:
    """The records of a file; UsageError for one that is no such file."""
    records, sha256 = read_records(path)
    return Tuned(sha256, records, path.name)


def usual_group(records: Sequence[Record]) -> list[Record]:
    """Those of the machine, compiler and version that most of them have; of as many, the first by name."""
    groups = Counter(map(group_of, records))
    if not groups:
        return []
    most = min(groups, key=lambda group: (-groups[group], group))
    return [record for record in records if group_of(record) == most]


def group_of(record: Record) -> tuple[str, str, str]:
    """What must be the same so that times can be compared."""
    return record.machine.cpu, record.compiler, record.version


def _quickest(record: Record) -> tuple[float, str]:
    return record.least, repr(record.choices)
