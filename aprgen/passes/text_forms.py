"""How texts are looked up."""
from __future__ import annotations
from aprgen.ops.hashed_terms import hashed_terms
from aprgen.ops.term_counts import TermCounts
from aprgen.ops.suggest import Suggest
from aprgen.ops.hashed_suggest import hashed_suggest
from aprgen.program import Program, Step

def hashed_texts(program: Program) -> Program:
    def one(step: Step) -> Step:
        if isinstance(step.op, TermCounts):
            made = hashed_terms(step.op)
            return step if made is None else Step(made, step.inputs)
        if isinstance(step.op, Suggest):
            made = hashed_suggest(step.op)
            return step if made is None else Step(made, step.inputs)
        return step
    return program.with_steps([one(s) for s in program.steps])
