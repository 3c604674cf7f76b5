"""What records choose: the measured best of the same model, else by learned costs; the same bytes on any machine."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from aprgen.core import Artifact, Options, compile_model
from aprgen.errors import UnsupportedError, UsageError
from aprgen.passes.choices import Choices
from aprgen.target import load_target
from aprgen.tuned.decision import Tuned, load_tuned
from aprgen.tuned.records import Record, write_records
from tests.examples import loaded
from tests.tuned.made_records import forests, record

AVX2 = load_target("x86-avx2")
MODEL = "rfc_digits"


def tuned(records: Sequence[Record]) -> Tuned:
    return Tuned("0" * 64, tuple(records), "records.json")


def compiled(records: Sequence[Record], name: str = MODEL) -> Artifact:
    return compile_model(loaded(name), AVX2, Options("m", tuned=tuned(records)))


def own(choices: Choices, least: float, **others: object) -> Record:
    """A measurement of the model."""
    made = record(loaded(MODEL).sha256, choices, {"code": 1.0})
    return replace(made, least=least, median=2 * least, **others)  # type: ignore[arg-type]


@pytest.mark.parametrize("best", ["levels", "walked"])
def test_the_best_of_this_model(best: str) -> None:
    """What was measured quickest is taken, whatever others' costs say, and the manifest says so."""
    form = "walked" if best == "walked" else "levels"
    other = "levels" if best == "walked" else "walked"
    records = [own(Choices(trees=form), 5.0), own(Choices(trees=other), 6.0), own(Choices(trees="rows"), 9.0)]
    made = compiled([*forests(), *records])
    assert made.program.batch is not None
    facts = made.manifest["tuned"]

    assert set(made.program.batch.forms) == {best}
    assert facts == {
        "records": "0" * 64, "target": "x86-avx2", "cpu": "Some CPU, model 1", "compiler": "gcc 1.0", "by": "measured",
        "strategy": {"forms": [best], "rows": 128, "few_rows": made.program.batch.few_rows},
    }  # fmt: skip
    json.dumps(facts)


def test_rows_one_by_one_may_be_the_best() -> None:
    """Then there is no way for blocks."""
    made = compiled([own(Choices(trees="rows"), 5.0), own(Choices(trees="walked"), 6.0)])

    assert made.program.batch is None
    assert made.manifest["tuned"]["strategy"] is None  # type: ignore[index]


def test_few_rows_as_measured() -> None:
    """From calls of few rows of this model follows from how many on blocks are taken."""
    few = [
        own(Choices(trees="walked", few_rows=few_rows), least, rows=rows)
        for rows, few_rows, least in ((4, 1, 9.0), (4, 64, 5.0), (8, 1, 4.0), (8, 64, 5.0))
    ]
    made = compiled([own(Choices(trees="walked"), 5.0), *few])
    assert made.program.batch is not None

    assert made.program.batch.few_rows == 8


def test_learned_costs_choose() -> None:
    """Another model is chosen for by the costs that the records have: dear levels make it walk, cheap ones do not."""
    model = "rfc"
    usual = compile_model(loaded(model), AVX2, Options("m")).program.batch
    dear = [replace(one, least=300 * one.least, median=900 * one.least) if one.choices.trees == "levels" else one
            for one in forests()]  # fmt: skip
    for records, forms in ((forests(), {"levels"}), (dear, {"walked", "floats"})):
        made = compiled(records, model)
        assert made.program.batch is not None
        assert set(made.program.batch.forms) <= forms
        assert made.manifest["tuned"]["by"] == "learned"  # type: ignore[index]
    assert usual is not None
    assert set(usual.forms) == {"levels"}


def test_the_machine_of_most_records() -> None:
    """Of several machines the one with most records counts, in whatever order they stand; never the one that asks."""
    many = [own(Choices(trees="levels"), 5.0), own(Choices(trees="walked"), 6.0)]
    one = own(Choices(trees="walked"), 1.0)
    other = replace(one, machine=replace(one.machine, cpu="Another CPU"))
    for records in ([*many, other], [other, *many]):
        batch = compiled(records).program.batch
        assert batch is not None
        assert set(batch.forms) == {"levels"}


def test_same_records_same_bytes(tmp_path: Path) -> None:
    """The order of records in a file changes nothing but the file's own digest."""
    write_records(tmp_path / "a.json", forests())
    write_records(tmp_path / "b.json", forests()[::-1])
    one, two = load_tuned(tmp_path / "a.json"), load_tuned(tmp_path / "b.json")
    texts = [compile_model(loaded(MODEL), AVX2, Options("m", tuned=each)).texts for each in (one, two)]

    assert one.sha256 == two.sha256
    assert texts[0] == texts[1]
    assert f'"records": "{one.sha256}"' in texts[0]["manifest.json"]
    assert str(tmp_path) not in "".join(texts[0].values())


def test_without_records_for_the_target() -> None:
    """It is refused: the costs of another target are not taken in silence."""
    with pytest.raises(UsageError, match="no records for x86-avx512"):
        compile_model(loaded(MODEL), load_target("x86-avx512"), Options("m", tuned=tuned(forests())))
    with pytest.raises(UnsupportedError, match="host has no strategies"):
        compile_model(loaded(MODEL), load_target("host"), Options("m", tuned=tuned(forests())))


def test_a_strategy_that_is_gone() -> None:
    """A measured form that the model does not have is told, with what to do."""
    with pytest.raises(UnsupportedError, match="cannot be computed in the form 'permuted'"):
        compiled([own(Choices(trees="permuted"), 5.0), own(Choices(trees="walked"), 6.0)])


def test_a_target_with_variants() -> None:
    """Each variant that has blocks of rows is chosen for by its own records; the manifest says what came of each."""
    x86 = load_target("x86")
    names = [one.target.name for one in x86.variants if one.target is not None and one.target.batch is not None]
    records = [replace(one, target=name) for name in names for one in forests()]
    made = compile_model(loaded(MODEL), x86, Options("m", tuned=tuned(records)))
    facts = made.manifest["tuned"]

    assert isinstance(facts, list)
    assert [one["target"] for one in facts] == names
    assert len(names) > 1
    others = [one for one in records if one.target != names[-1]]
    with pytest.raises(UsageError, match=f"no records for {names[-1]}"):
        compile_model(loaded(MODEL), x86, Options("m", tuned=tuned(others)))


def test_nothing_changes_without_records() -> None:
    """A manifest without records has no word of them."""
    assert "tuned" not in compile_model(loaded(MODEL), AVX2, Options("m")).manifest
