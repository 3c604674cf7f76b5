"""Mixture of experts: a softmax gate picks the best few sub-models and mixes their values.

Knows its layout for every kind of expert that predicts one value; knows nothing of files or C.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from aprgen.container.bincode import F32, F32S, U64, Record, Vec
from aprgen.errors import UnsupportedError
from aprgen.families import exact
from aprgen.families.base import (
    Fact,
    Fields,
    Floats,
    Model,
    Struct,
    bad_parameter,
    require_finite,
    require_rows,
    unfitted,
)
from aprgen.ops.dense import Dense
from aprgen.ops.elementwise import Map, Stage
from aprgen.ops.mixture import Concat, TopMix
from aprgen.ops.normalise import Softmax
from aprgen.ops.trees import TreeOp
from aprgen.program import Array, Builder, Program, Step, Table, row_type

EPSILON = float(np.finfo(np.float32).eps)
MAX_EXPERTS = 256  # every expert is a function of its own, and costs a compiler milliseconds
MATTERS = 1e-30  # a smaller share moves no sum


@dataclass(frozen=True, eq=False)
class Experts:
    """logits = gate . x / temperature; the top_k of softmax(logits), renormalised, weigh the experts' values."""

    experts: tuple[Model, ...]
    gate_features: int
    n_experts: int
    temperature: float
    gate: Floats  # [features * experts], feature by feature
    top_k: int
    struct = "MixtureOfExperts"
    family = "mixture of experts"
    outputs = "one value"
    wider_rows = False

    @property
    def n_features(self) -> int:
        return self.gate_features

    def facts(self) -> tuple[Fact, ...]:
        kinds = sorted({expert.family for expert in self.experts})
        return (
            Fact("features", self.n_features),
            Fact("experts", len(self.experts)),
            Fact("experts are", tuple(kinds)),
            Fact("experts used per row", self.top_k),
            Fact("temperature", self.temperature),
        )

    def check(self) -> None:
        if not self.experts or self.n_features == 0:
            raise unfitted(self.struct)
        if self.n_experts > MAX_EXPERTS:
            raise UnsupportedError(
                "model.experts",
                f"the gate chooses among {self.n_experts} experts, aprgen writes code for at most {MAX_EXPERTS}",
                where=self.struct,
                hint="train fewer experts",
            )
        if len(self.experts) != self.n_experts:
            what = f"the gate chooses among {self.n_experts} experts, the file holds {len(self.experts)}"
            raise bad_parameter(what, where=self.struct)
        if len(self.gate) != self.n_features * self.n_experts:
            what = f"the gate has {len(self.gate)} weights for {self.n_features} features and {self.n_experts} experts"
            raise bad_parameter(what, where=self.struct)
        if self.top_k == 0:
            raise bad_parameter("top_k is 0", where=self.struct)
        require_finite("gate weights", self.gate)
        require_finite("temperature", np.array([self.temperature]))
        if self.temperature == 0:
            raise bad_parameter("the temperature is 0", where=self.struct)
        for index, expert in enumerate(self.experts):
            expert.check()
            program = expert.lower()
            ignores = program.n_features < self.n_features and _reads_with_trees(program)
            if program.n_features != self.n_features and not ignores:
                what = f"expert {index} takes {expert.n_features} features, the gate {self.n_features}"
                raise bad_parameter(what, where=self.struct)
            if program.n_outputs != 1:
                raise bad_parameter(f"expert {index} gives more than one value", where=self.struct)

    @property
    def used(self) -> int:
        return min(self.top_k, self.n_experts)

    def gate_weights(self, rows: Array) -> Floats:
        """softmax(logits / temperature), [rows, experts]."""
        gate = self.gate.reshape(self.n_features, self.n_experts)
        temperature = np.float32(self.temperature)
        columns = [exact.running_sum(rows * gate[:, j]) / temperature for j in range(self.n_experts)]
        return exact.softmax(np.stack(columns, axis=1))

    def predict(self, rows: Array) -> Floats:
        require_rows(rows, self.n_features)
        with np.errstate(all="ignore"):
            weights = self.gate_weights(rows)
            values = np.concatenate([e.predict(rows[:, : e.n_features]) for e in self.experts], axis=1)
            order = np.argsort(-weights, axis=1, kind="stable")[:, : self.used]
            top = np.take_along_axis(weights, order, axis=1)
            mixed = (top / exact.running_sum(top)[:, None]) * np.take_along_axis(values, order, axis=1)
            return exact.running_sum(mixed).reshape(-1, 1)

    def tolerance(self, rows: Array, scores: Floats) -> Array:
        """Shares within a few ulp, and what the experts promise; nothing where the gate nearly ties at the cut."""
        with np.errstate(all="ignore"):
            weights = np.sort(self.gate_weights(rows), axis=1)[:, ::-1]
            first, second = weights[:, : self.used + 1][:, :-1], weights[:, 1 : self.used + 1]
            near_tie = (first - second < 16 * EPSILON * first) & (first > MATTERS)
            values = np.concatenate([e.predict(rows[:, : e.n_features]) for e in self.experts], axis=1)
            promised = [e.tolerance(rows[:, : e.n_features], values[:, i : i + 1]) for i, e in enumerate(self.experts)]
            inner = np.max([np.broadcast_to(p, (len(rows), 1)) for p in promised], axis=0)
        shares = (8.0 + 2 * self.n_experts) * EPSILON * np.abs(values).max(axis=1, keepdims=True)
        return np.where(near_tie.any(axis=1, keepdims=True), np.inf, shares + inner)

    def classify(self, rows: Array) -> None:
        return None

    def lower(self) -> Program:
        builder = Builder(row_type(self.n_features))
        gate = np.ascontiguousarray(self.gate.reshape(self.n_features, self.n_experts).T)
        logits = builder.add(Dense(Table(gate, np.float32), None, "none"), 0)
        if self.temperature != 1:
            stage = Stage("div", constant=float(np.float32(self.temperature)))
            logits = builder.add(Map(self.n_experts, (stage,)), logits)
        weights = builder.add(Softmax(self.n_experts), logits)
        values = self._values(builder)
        return builder.build(builder.add(TopMix(self.n_experts, self.used), weights, values))

    def _values(self, builder: Builder) -> int:
        """Experts of one dense row each become one dense op; others run one after the other."""
        programs = [expert.lower() for expert in self.experts]
        ops = [program.steps[0].op for program in programs if len(program.steps) == 1]
        dense = [op for op in ops if isinstance(op, Dense) and op.bias_order == "last" and op.bias is not None]
        if len(dense) == len(programs) and all(op.cols == self.n_features for op in dense):
            weight = np.concatenate([op.weight.data for op in dense])
            bias = np.concatenate([op.bias.data for op in dense if op.bias is not None])
            return builder.add(Dense(Table(weight), Table(bias), "last"), 0)
        values = [builder.inline(_on_rows(program, self.n_features), 0) for program in programs]
        return builder.add(Concat(tuple(1 for _ in values)), *values)


def _reads_with_trees(program: Program) -> bool:
    """Whether only trees read the row: they ignore columns beyond those of their splits."""
    return all(isinstance(step.op, TreeOp) for step in program.steps if 0 in step.inputs)


def _on_rows(program: Program, n_features: int) -> Program:
    """The same program for rows with more columns, which its trees ignore."""
    if program.n_features == n_features:
        return program
    steps = [
        Step(step.op.reading(n_features), step.inputs) if isinstance(step.op, TreeOp) and 0 in step.inputs else step
        for step in program.steps
    ]
    return replace(program, source=row_type(n_features), steps=tuple(steps))


def structs(expert_structs: Sequence[Struct]) -> tuple[Struct, ...]:
    """One layout for each kind of expert."""

    def layout(expert: Struct) -> Struct:
        codec = Record(
            "MixtureOfExperts",
            (
                ("experts", Vec(expert.codec)),
                (
                    "gating",
                    Record(
                        "SoftmaxGating",
                        (("n_features", U64), ("n_experts", U64), ("temperature", F32), ("weights", F32S)),
                    ),
                ),
                (
                    "config",
                    Record(
                        "MoeConfig",
                        (
                            ("top_k", U64),
                            ("capacity_factor", F32),
                            ("expert_dropout", F32),
                            ("load_balance_weight", F32),
                        ),
                    ),
                ),
            ),
        )
        return Struct(f"MixtureOfExperts<{expert.name}>", (0x0040,), codec, _builder(expert))

    return tuple(layout(expert) for expert in expert_structs)


def _builder(expert: Struct) -> Callable[[Fields], Experts]:
    def build(fields: Fields) -> Experts:
        gating = cast(Fields, fields["gating"])
        return Experts(
            tuple(expert.build(item) for item in cast("tuple[Fields, ...]", fields["experts"])),
            cast(int, gating["n_features"]),
            cast(int, gating["n_experts"]),
            cast(float, gating["temperature"]),
            cast(Floats, gating["weights"]),
            cast(int, cast(Fields, fields["config"])["top_k"]),
        )

    return build
