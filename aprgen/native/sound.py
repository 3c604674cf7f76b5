"""What must hold of an op out of a file before it is evaluated or compiled, beyond the types of its values.

Ops that families make hold to all of it; here nobody is believed. Knows ops, no bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import numpy as np

from aprgen.ops.decide import Argmax, Lookup
from aprgen.ops.dense import Dense
from aprgen.ops.distance import Neighbours
from aprgen.ops.elementwise import ARITHMETIC, Map
from aprgen.ops.gauss import Gauss
from aprgen.ops.mixture import TopMix
from aprgen.ops.strings import NONE, Folding
from aprgen.ops.suggest import MAX_CONTEXT_WORDS, Suggest
from aprgen.ops.term_counts import MAX_TOKENS, TermCounts
from aprgen.ops.tfidf import MAX_IDF, MIN_IDF, Tfidf
from aprgen.ops.trees import TreeLeaf, TreeOp, TreeSum, TreeVotes
from aprgen.program import Op

MAX_VOTES = 65_535  # counted in 16 bits
LAST_CODE_POINT = 0x10FFFF


def flaw(op: Op, source: Op | None) -> str | None:
    """What is wrong with an op whose first input `source` makes (None: the model's input); None when nothing is."""
    check = CHECKS.get(type(op))
    found = None if check is None else check(op)
    return _lookup(op, source) if found is None and isinstance(op, Lookup) else found


def highest_leaf(op: TreeOp) -> int:
    """The largest leaf that a reference names, -1 without any."""
    parts = (op.nodes.left.data, op.nodes.right.data, op.nodes.root.data)
    return max(int((~part.astype(np.int64)).max(initial=-1)) for part in parts)


def _dense(op: Dense) -> str | None:
    if (op.bias is None) != (op.bias_order == "none"):
        return f"the bias comes {op.bias_order}, and is {'not ' if op.bias is None else ''}there"
    if op.bias is not None and len(op.bias.data) != op.rows:
        return f"{len(op.bias.data)} biases for {op.rows} rows"
    return None


def _neighbours(op: Neighbours) -> str | None:
    if not 1 <= op.k <= op.n_points:
        return f"the {op.k} nearest of {op.n_points} points are asked for"
    if len(op.classes.data) != op.n_points:
        return f"{len(op.classes.data)} classes for {op.n_points} points"
    if int(op.classes.data.min()) < 0 or int(op.classes.data.max()) >= op.n_classes:
        return f"a point has class {int(op.classes.data.max())} of {op.n_classes}"
    return None


def _gauss(op: Gauss) -> str | None:
    shape = op.centre.data.shape
    others = (op.divisor.data.shape, shape if op.offset is None else op.offset.data.shape)
    if others != (shape, shape) or (op.start is not None and len(op.start.data) != shape[0]):
        return f"the tables of {shape[0]} x {shape[1]} Gaussians do not fit each other"
    return None


def _map(op: Map) -> str | None:
    for stage in op.stages:
        for table in (stage.each, stage.mask):
            if table is not None and len(table.data) != op.size:
                return f"a stage has {len(table.data)} operands for {op.size} elements"
        if stage.constant is None and (stage.verb == "keep" or (stage.verb in ARITHMETIC and stage.each is None)):
            return f"the verb {stage.verb} has no operand"
    return None


def _top_mix(op: TopMix) -> str | None:
    return None if 1 <= op.k <= op.size else f"the {op.k} largest of {op.size} weights are asked for"


def _argmax(op: Argmax) -> str | None:
    if op.labels is not None and len(op.labels.data) != op.size:
        return f"{len(op.labels.data)} labels for {op.size} scores"
    if op.element != "f32" and (op.last_wins or op.nan_gives_zero):
        return "votes have neither NaN nor a last one that wins"
    return None


def _lookup(op: Lookup, source: Op | None) -> str | None:
    """The numbers looked up must be known to lie in the table."""
    entries = len(op.table.data)
    if isinstance(source, TreeVotes):
        return None if source.n_trees < entries else f"up to {source.n_trees} votes for {entries} entries"
    if isinstance(source, TreeLeaf):
        highest = highest_leaf(source)
        return None if highest < entries else f"leaf {highest} for {entries} entries"
    return "what is looked up is neither a leaf nor a number of votes"


def _tree_leaf(op: TreeLeaf) -> str | None:
    return None if op.n_trees == 1 else f"one leaf of {op.n_trees} trees"


def _tree_votes(op: TreeVotes) -> str | None:
    if not 1 <= op.n_trees <= MAX_VOTES:
        return f"{op.n_trees} trees vote; 16 bits count to {MAX_VOTES}"
    highest = highest_leaf(op)
    return None if highest < op.n_classes else f"a leaf votes for class {highest} of {op.n_classes}"


def _tree_sum(op: TreeSum) -> str | None:
    highest = highest_leaf(op)
    return None if highest < len(op.values.data) else f"leaf {highest} of {len(op.values.data)} values"


def _folding(folding: Folding | None) -> str | None:
    if folding is None:
        return None
    if folding.ranges is not None:
        words = folding.ranges.data.astype(np.int64)
        first, more, step = words[:, 0] & 0x1FFFFF, words[:, 0] >> 21 & 0x1FF, words[:, 0] >> 30
        target = words[:, 1] + np.where(step == 0, 0, more)
        if (step > 2).any() or (first + more > LAST_CODE_POINT).any() or (target > LAST_CODE_POINT).any():
            return "a folding leaves Unicode"
    if folding.kinds is not None:
        words = folding.kinds.data.astype(np.int64)
        kind = words[:, 0] >> 30
        if ((kind < 1) | (kind > 2)).any() or ((words[:, 0] & 0x1FFFFF) > words[:, 1]).any():
            return "a range of kinds is neither ignorable nor cased, or ends before it begins"
    return None


def _term_counts(op: TermCounts) -> str | None:
    n = max(op.strings.count, 1)
    if not 0 <= op.low <= op.high <= MAX_TOKENS or op.high < 1:
        return f"n-grams of {op.low} to {op.high} tokens; at most {MAX_TOKENS}"
    if op.low < 1:
        return "n-grams of 0 tokens are asked for"
    if op.strings.count >= NONE or len(op.column.data) != n or int(op.column.data.max()) > op.size:
        highest = int(op.column.data.max())
        return f"{len(op.column.data)} columns up to {highest} for {op.strings.count} terms of {op.size}"
    if op.stop is not None and len(op.stop.data) != (n + 7) // 8:
        return f"{len(op.stop.data)} bytes of marks for {n} strings"
    if op.stop is None and op.stop_folding is not None:
        return "stop words are folded, but there are none"
    return _folding(op.folding) or _folding(op.stop_folding)


def _tfidf(op: Tfidf) -> str | None:
    idf = op.idf.data
    if len(idf if op.index is None else op.index.data) != op.size:
        return f"{len(idf if op.index is None else op.index.data)} weights for {op.size} terms"
    if op.index is not None and int(op.index.data.max()) >= len(idf):
        return f"weight {int(op.index.data.max())} of {len(idf)}"
    if not ((idf.view(np.uint64) == 0) | ((idf >= MIN_IDF) & (idf <= MAX_IDF))).all():
        return f"a weight is neither 0 nor from {MIN_IDF} to {MAX_IDF}"
    return None


def _suggest(op: Suggest) -> str | None:
    first = op.next_first.data.astype(np.int64)
    n_commands, n_words = op.commands.count, op.words.count
    n_next = int(first[-1]) if len(first) else 0
    n_levels = len(op.score.data)
    rows = op.context.data
    if max(n_commands, n_words, n_next, n_levels) >= NONE:
        return "more strings or levels than 16 bits count"
    if not 1 <= op.context_words <= MAX_CONTEXT_WORDS or rows.shape != (max(op.n_contexts, 1), op.context_words):
        return f"contexts of {op.context_words} words in a table of {rows.shape[0]} x {rows.shape[1]}"
    if op.reach > op.context_words + 1:
        return f"{op.reach} words before the last are looked at, contexts have {op.context_words}"
    if len(first) != op.n_contexts + 1 or (first[0], n_next) != (0, int(first.max())) or (np.diff(first) < 0).any():
        return "the next words of the contexts are not one behind the other"
    lengths = (len(op.command_level.data), len(op.next_word.data), len(op.next_level.data))
    if lengths != (max(n_commands, 1), max(n_next, 1), max(n_next, 1)):
        return f"{lengths} levels and words for {n_commands} commands and {n_next} next words"
    if n_next and int(op.next_word.data.max()) >= n_words:
        return f"next word {int(op.next_word.data.max())} of {n_words}"
    if max(int(op.command_level.data.max()), int(op.next_level.data.max())) >= n_levels:
        return f"a level is not among {n_levels}"
    ordered = rows[: op.n_contexts].tolist()
    if any(one >= other for one, other in pairwise(ordered)):
        return "the contexts are not in order, each once"
    return None


CHECKS: Mapping[type[Any], Callable[[Any], str | None]] = {
    Dense: _dense,
    Neighbours: _neighbours,
    Gauss: _gauss,
    Map: _map,
    TopMix: _top_mix,
    Argmax: _argmax,
    TreeLeaf: _tree_leaf,
    TreeVotes: _tree_votes,
    TreeSum: _tree_sum,
    TermCounts: _term_counts,
    Tfidf: _tfidf,
    Suggest: _suggest,
}
