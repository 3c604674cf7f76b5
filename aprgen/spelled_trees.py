"""Trees in branches as C, for templates: what stands at their leaves. Knows blocks and statements; knows no Jinja."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence

from aprgen import spell
from aprgen.ops.called_trees import EARLY, EndedBranches, Pair, Share
from aprgen.ops.shaped_trees import Branches, Field


def branches(trees: Branches, root: int, near: int, kind: str, leaf: str) -> str:
    """A tree for templates: `leaf` is the statement of a leaf, with %d for its number."""
    statements = [[] if number < 0 else [leaf % number] for number in trees.leaf.tolist()]
    return spell.branches(_blocks(trees, statements), int(root), near, kind)


def joined_branches(trees: Branches, near: int, kind: str, words: int, word: str, output: str) -> str:
    """Joined trees: `word` and `output` are counters, with %d for the number of a word and of an output."""
    spelled = [[_addition(words, word, output, *one) for one in adds] for adds in trees.adds]
    statements = [[] if number < 0 else spelled[number] for number in trees.leaf.tolist()]
    return spell.branches(_blocks(trees, statements), int(trees.root[0]), near, kind)


def going_on_branches(
    trees: Branches, root: int, near: int, kind: str, leaf: str, going_on: str, first_node: int
) -> str:  # fmt: skip
    """As branches, where leaves from `first_node` on are nodes: `going_on` is their statement."""
    statements = [
        [] if number < 0 else [leaf % number if number < first_node else going_on % (number - first_node)]
        for number in trees.leaf.tolist()
    ]
    return spell.branches(_blocks(trees, statements), int(root), near, kind)


def compact_branches(trees: Branches, root: int, near: int, kind: str, fields: Sequence[Field]) -> str:
    """A tree whose leaves count a class, or are numbers from the classes on, for what follows the branches."""
    counts = [f"w{field.word} += {1 << field.shift}U;" for field in fields]
    statements = [
        [] if leaf < 0 else [counts[leaf] if leaf < len(fields) else f"number = {leaf - len(fields)}U;"]
        for leaf in trees.leaf.tolist()
    ]
    return spell.branches(_blocks(trees, statements), int(root), near, kind)


def called_branches(
    trees: EndedBranches, roots: Sequence[int], near: int, kind: str, function: str, pointers: str,
    pairs: Sequence[Pair], shares: Sequence[Share], places: Sequence[int], lengths: Sequence[int], n_classes: int,
    one: int, kind_of_y: str,
) -> list[str]:  # fmt: skip
    """The body of each tree, which ends in a call that counts its leaf. pointers: to the codes, as arguments."""
    named = [f"of_{pairs[share.pair].first}_{pairs[share.pair].second}" for share in shares]
    named += [f"row_{length}" for length in lengths]
    amounts = [f"{share.first}" for share in shares] + [f"{place}U" for place in places]
    whole = f"{one}U" if kind_of_y == "uint16_t" else f"{one}"

    def call(leaf: int, end: int) -> str:
        if leaf < n_classes:
            return f"early_to_{leaf}({whole}, y);" if end == EARLY else f"to_{leaf}_{end}(y, {pointers});"
        name, amount = named[leaf - n_classes], amounts[leaf - n_classes]
        return f"early_{name}({amount}, y);" if end == EARLY else f"{name}(y, {pointers}, {amount});"

    ends = zip(trees.leaf.tolist(), trees.ends.tolist(), strict=True)
    statements = [[] if leaf < 0 else [f"{function}_{call(leaf, end)}"] for leaf, end in ends]
    blocks = _blocks(trees, statements)
    return [spell.branches(blocks, root, near, kind) for root in roots]


def listing_branches(
    trees: Branches, near: int, kind: str, words: int, outputs: int, word: str, output: str, listing: Sequence[str]
) -> str:  # fmt: skip
    """As joined_branches, where counters behind the outputs are nodes: `listing` are their statements."""

    def spelled(counter: int, constant: int) -> list[str]:
        node = counter - words - outputs
        if node < 0:
            return [_addition(words, word, output, counter, constant)]
        return [one % node if "%" in one else one for one in listing]

    adds = [[statement for one in of_leaf for statement in spelled(*one)] for of_leaf in trees.adds]
    statements = [[] if number < 0 else adds[number] for number in trees.leaf.tolist()]
    return spell.branches(_blocks(trees, statements), int(trees.root[0]), near, kind)


def _addition(words: int, word: str, output: str, counter: int, constant: int) -> str:
    if counter < words:  # modulo 2^32: the shorter way
        sign, amount, suffix = ("+", constant, "U") if constant < 2**31 else ("-", 2**32 - constant, "U")
        return f"{word % counter if '%' in word else word} {sign}= {amount}{suffix};"
    return f"{output % (counter - words)} += {spell.int_literal(constant)};"


def _blocks(trees: Branches, statements: Sequence[Sequence[str]]) -> list[spell.Block]:
    columns = (trees.feature, trees.code, trees.left, trees.right, trees.right_first)
    splits = [spell.Split(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]
    ends = itertools.pairwise(trees.first.tolist())
    return [spell.Block(own, splits[start:end]) for own, (start, end) in zip(statements, ends, strict=True)]


FILTERS: Mapping[str, Callable[..., str | list[str]]] = {
    "branches": branches,
    "joined_branches": joined_branches,
    "going_on_branches": going_on_branches,
    "called_branches": called_branches,
    "listing_branches": listing_branches,
    "compact_branches": compact_branches,
}
