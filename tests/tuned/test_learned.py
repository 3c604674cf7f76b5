"""Costs learned from records: those that made the times are found, what was not measured stays as it is stated."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from aprgen.costs import BatchCost
from aprgen.passes.choices import Choices
from aprgen.target import load_target
from aprgen.tuned.evaluation import evaluate
from aprgen.tuned.learned import few_rows_of, learn, least_squares, stated
from aprgen.tuned.records import Record
from tests.tuned.made_records import TRUTH, forests, network, record


def cost() -> BatchCost:
    found = load_target("x86-avx2").batch
    assert found is not None
    return found


@pytest.mark.parametrize("seed", range(6))
def test_least_squares(seed: int) -> None:
    """No other c >= 0 is better: where c is more than 0 the slope is 0, and elsewhere it does not fall."""
    chance = np.random.default_rng(seed)
    rows = chance.normal(size=(20, 5)) + 0.5
    rows[:, 4] = 0
    wanted = chance.normal(size=20)
    found = np.array(least_squares(rows.tolist(), wanted.tolist()))
    slope = rows.T @ (rows @ found - wanted)

    assert (found >= 0).all()
    assert slope[found > 0] == pytest.approx(0, abs=1e-6)
    assert (slope >= -1e-6).all()


def test_costs_are_found() -> None:
    """The costs that the times were made of, within the little that the target's own are believed."""
    learned = learn(forests(), "trees", cost())
    assert learned is not None

    for term in ("level_split", "walked_split", "split", "code"):
        assert learned.cycles[term] == pytest.approx(TRUTH[term], rel=0.1), term
    assert all(learned.predicted(one) == pytest.approx(one.cycles, rel=0.06) for one in forests())
    made = learned.applied(cost())
    assert made.walked_split == round(learned.cycles["walked_split"])
    assert replace(cost(), split=made.split, code=made.code, level_tree=made.level_tree, level_split=made.level_split,
                   walked_split=made.walked_split) == made  # fmt: skip


def test_what_was_not_measured_stays() -> None:
    """A cost that no record shows is the target's."""
    learned = learn([one for one in forests() if one.choices.trees != "walked"], "trees", cost())
    assert learned is not None

    assert learned.applied(cost()).walked_split == cost().walked_split
    assert learn(forests(), "sums", cost()) is None


def tiles(ratio: float, models: int) -> list[Record]:
    return [one for number in range(models)
            for one in (network(number), network(number, tile=(6, 2), slower=ratio))]  # fmt: skip


def test_parameters() -> None:
    """Tiles of another size are taken where three models show that they are worth it."""
    quicker = learn(tiles(0.8, 3), "sums", cost())
    assert quicker is not None

    assert quicker.factors == {("tile_rows", 6): pytest.approx(0.8)}
    floats = quicker.applied(cost()).floats
    assert floats is not None
    assert (floats.tile_rows, floats.tile_panels) == (6, 2)
    assert quicker.predicted(network(9, tile=(6, 2))) == pytest.approx(0.8 * quicker.predicted(network(9)))
    for records in (tiles(0.99, 3), tiles(0.8, 2)):
        other = learn(records, "sums", cost())
        assert other is not None
        assert other.parameters() == {}


def test_few_rows() -> None:
    """From where on blocks are quicker, all calls of few rows together."""
    def calls(rows: int, block: float, alone: float) -> list[Record]:
        one, other = Choices(trees="levels", few_rows=1), Choices(trees="levels", few_rows=64)
        work = {"code": 1.0}
        return [record("m", one, work, rows=rows, slower=block), record("m", other, work, rows=rows, slower=alone)]

    slow_blocks = [*calls(2, 8, 1), *calls(4, 3, 1), *calls(8, 1.1, 1)]

    assert few_rows_of([*slow_blocks, *calls(16, 1, 2)]) == 16
    assert few_rows_of(slow_blocks) == 16  # twice the most that was tried
    assert few_rows_of(calls(2, 1, 2)) == 1
    assert few_rows_of(forests()) is None


def test_evaluation() -> None:
    """Costs learned from the others pick the best and predict time; a target whose costs are wrong picks worse."""
    wrong = replace(cost(), level_split=100_000, walked_split=1)
    found, = evaluate(forests(), lambda _: wrong)

    assert (found.kind, found.models, found.records) == ("trees", 7, 21)
    assert found.learned is not None
    assert found.stated is not None
    assert (found.learned.best, found.learned.worst) == (7, 1.0)
    assert found.stated.best < 7
    assert found.stated.worst > 1.02
    assert found.blocks is not None
    assert found.alone is not None
    assert 0 <= found.blocks.median <= found.blocks.worst < 0.1
    assert 0 <= found.alone.median <= found.alone.worst < 0.1
    assert found.costs["walked_split"][0] == 1
    assert set(stated(wrong, "trees")) < set(found.costs)
    assert evaluate(forests(), lambda _: None) == ()
    assert evaluate([], lambda _: wrong) == ()


def test_a_model_is_judged_by_others() -> None:
    """A model alone is judged by what the target states, not by its own records."""
    wrong = replace(cost(), level_split=100_000, walked_split=1)
    alone = forests()[:3]
    found, = evaluate([*alone, *(replace(one, model="f" * 64) for one in alone[2:])], lambda _: wrong)

    assert found.learned is not None
    assert found.learned.worst > 1.02
