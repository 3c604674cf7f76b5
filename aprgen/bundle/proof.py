"""Proves a bundle on its target's runner: its self-test, and rows of every model through the registry against Program.

Puts all models behind the functions of one (templates/bundle/bundle_probe.c.j2), so that the runners of single models
run them. Knows the layout of those records; how results are compared is `verify`'s.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from aprgen.bundle.compile import Bundle
from aprgen.bundle.emission import HAS_LABELS, HAS_ROWS, HAS_TEXTS, has_bits, probe_texts
from aprgen.bundle.members import Member
from aprgen.errors import ComparisonError
from aprgen.image import ModelFacts, build_image
from aprgen.measured import model_facts
from aprgen.program import Array
from aprgen.rows import SEED
from aprgen.runners.choose import runner_for
from aprgen.runners.execution import Execution
from aprgen.toolchain import find_toolchain
from aprgen.verify import Trial, Verdict, judge, make_trial

PROBE = "apr_probe"
FIRST = 3  # APR_PROBE_FIRST
DEFAULT_ROWS = 200


@dataclass(frozen=True, eq=False)
class Proof:
    """selftest_wrong: what NAME_selftest() gave. verdicts: by model, of those with code."""

    selftest_wrong: int
    verdicts: dict[str, Verdict]
    runner: str

    @property
    def passed(self) -> bool:
        return self.selftest_wrong == 0 and all(verdict.passed for verdict in self.verdicts.values())


def prove(bundle: Bundle, *, tools: str = "auto", n_rows: int = DEFAULT_ROWS, seed: int = SEED) -> Proof:
    """Edge rows and n_rows random ones of every model with code. ToolchainError without a compiler or a runner."""
    trials = {member.name: _trial(member, n_rows, seed) for member in bundle.coded}
    verdicts: dict[str, Verdict] = {}
    selftest, by_row = _run_rows(bundle, trials, tools)
    for member in bundle.coded:
        trial = trials[member.name]
        if has_bits(member) & HAS_ROWS:
            execution = by_row[member.name]
        elif has_bits(member) & HAS_TEXTS:
            execution = _run_texts(bundle, member, trial, tools)
        else:
            execution = _run_prefixes(bundle, member, trial, tools)
        assert member.loaded is not None
        verdicts[member.name] = judge(member.loaded.model, bundle.alone(member), trial, execution)
    return Proof(selftest, verdicts, runner_for(bundle.target, tools).description)


def _trial(member: Member, n_rows: int, seed: int) -> Trial:
    assert member.loaded is not None
    return make_trial(member.loaded.model, n_rows, seed)


def _run(bundle: Bundle, facts: ModelFacts, records: Array | Sequence[str], tools: str, suggesting: str) -> Execution:
    toolchain = find_toolchain(bundle.target, tools)
    with tempfile.TemporaryDirectory(prefix="aprgen-") as folder:
        texts = {**bundle.texts, **probe_texts(bundle.name, bundle.members, suggesting)}
        image = build_image(bundle.target, toolchain, texts, facts, Path(folder))
        return runner_for(bundle.target, tools).run(image, records, count=False)


def _run_rows(bundle: Bundle, trials: dict[str, Trial], tools: str) -> tuple[int, dict[str, Execution]]:
    """The number of wrong results of the self-test, and what each model that takes rows gave."""
    members = [member for member in bundle.coded if has_bits(member) & HAS_ROWS]
    known = [member.known for member in bundle.members if member.known is not None]
    width = 1 + max((program.n_features for program in known), default=0)
    parts = [np.full((1, width), len(bundle.members), np.float32)]
    for member in members:
        inputs = trials[member.name].inputs
        records = np.zeros((len(inputs), width), np.float32)
        records[:, 0] = bundle.members.index(member)
        records[:, 1 : 1 + inputs.shape[1]] = inputs
        parts.append(records)
    n_outputs = FIRST + max((program.n_outputs for program in known), default=0)
    facts = ModelFacts(PROBE, "row", width, n_outputs, has_classify=False)
    execution = _run(bundle, facts, np.concatenate(parts), tools, "")
    results: dict[str, Execution] = {}
    at = 1
    for member in members:
        end = at + len(trials[member.name].inputs)
        results[member.name] = _execution(member, execution, execution.scores[at:end])
        at = end
    return int(execution.scores[0, 0]), results


def _execution(member: Member, whole: Execution, out: Array) -> Execution:
    """What one model gave; ComparisonError where the registry gave a status instead."""
    assert member.plan is not None
    refused = np.flatnonzero(out[:, 0])
    if len(refused):
        raise ComparisonError(
            "test.refused", f"the registry refuses {member.name} with status {int(out[refused[0], 0])}",
            where=f"row {int(refused[0])} of model {member.name}", hint="this is a fault of aprgen: please report it",
        )  # fmt: skip
    scores = np.ascontiguousarray(out[:, FIRST : FIRST + member.plan.program.n_outputs])
    labels = None
    if has_bits(member) & HAS_LABELS:
        words = (out[:, 1].astype(np.uint32) << np.uint32(16)) | out[:, 2].astype(np.uint32)
        labels = words.view(np.int32)
    return replace(whole, scores=scores, labels=labels)


def _run_texts(bundle: Bundle, member: Member, trial: Trial, tools: str) -> Execution:
    digits = divmod(bundle.members.index(member), 64)
    prefix = "".join(chr(0x20 + digit) for digit in digits)
    most = max(program.n_outputs for one in bundle.members for program in (one.known,) if program is not None)
    facts = ModelFacts(PROBE, "text", 0, FIRST + most, has_classify=False)
    execution = _run(bundle, facts, [prefix + str(text) for text in trial.inputs], tools, "")
    return _execution(member, execution, execution.scores)


def _run_prefixes(bundle: Bundle, member: Member, trial: Trial, tools: str) -> Execution:
    facts = replace(model_facts(bundle.alone(member)), name=PROBE)
    return _run(bundle, facts, [str(text) for text in trial.inputs], tools, member.name)
