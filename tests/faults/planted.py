"""Plants one fault in the C of a fixture and asks the verifier what it sees."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from aprgen.build import load_into_process
from aprgen.core import Artifact
from aprgen.runners.execution import Execution
from aprgen.verify import Verdict, judge, make_trial
from tests.examples import artifact, loaded

Edit = Callable[[list[str]], list[str]]


def table_values(source: str, table: str) -> list[str]:
    """The values of one constant table, as C has them."""
    match = re.search(rf"{table}\[\d+\] = \{{\n(.*?)\n\}};", source, re.DOTALL)
    assert match is not None, table
    return [value.strip() for value in match[1].split(",") if value.strip()]


def edit_table(source: str, table: str, edit: Edit) -> str:
    """The source with the values of one constant table changed."""
    match = re.search(rf"({table}\[\d+\] = \{{\n)(.*?)(\n\}};)", source, re.DOTALL)
    assert match is not None, table
    values = table_values(source, table)
    edited = edit(list(values))
    assert len(edited) == len(values)
    assert edited != values
    return source[: match.start(2)] + "    " + ", ".join(edited) + "," + source[match.end(2) :]


def exchange(source: str, one: str, other: str) -> str:
    """The source with one piece of text, which must stand in it exactly once, replaced."""
    assert source.count(one) == 1, (source.count(one), one)
    return source.replace(one, other)


def faulty(name: str, change: Callable[[str], str], target: str = "host") -> Artifact:
    sound = artifact(name, target)
    source = f"{name}.c"
    return replace(sound, texts={**sound.texts, source: change(sound.texts[source])})


def verdict_on(candidate: Artifact, n_rows: int = 200) -> Verdict:
    """What `aprgen test` would conclude, with the C in this process instead of behind a runner."""
    model = loaded(candidate.name).model
    trial = make_trial(model, n_rows)
    image = load_into_process(candidate)
    scores, labels = image.predict(trial.inputs), image.classify(trial.inputs)
    execution = Execution(scores, labels, None, {}, "not counted", {}, "this process")
    return judge(model, candidate, trial, execution)
