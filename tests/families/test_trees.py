"""The payload codecs of trees: what is written is read, and a file cannot make reading cost much."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aprgen.container.bincode import Vec, decode, encode
from aprgen.container.cursor import Cursor
from aprgen.container.limits import DEFAULT_LIMITS
from aprgen.errors import PayloadError
from aprgen.trees import IsolationTreeCodec, Tree, TreeBuilder, TreeCodec

FIELDS = ("feature", "threshold", "left", "right", "leaf_label", "leaf_value", "n_samples")
CODECS = {"label": TreeCodec("label"), "value": TreeCodec("value"), "isolation": IsolationTreeCodec()}


def tree_of(shape: list[bool], kind: str) -> Tree:
    """A tree in pre-order: True asks for a split; leaves follow when the shape ends. Numbers count up."""
    builder = TreeBuilder()
    asked = iter(shape)
    waiting: list[tuple[int, bool]] = [(-1, False)]
    while waiting:
        parent, is_right = waiting.pop()
        number = len(builder) + 1
        if next(asked, False):
            at = builder.add(number, number / 4, samples=number if kind == "isolation" else 0)
            waiting += [(at, True), (at, False)]
        elif kind == "label":
            at = builder.leaf(label=number, samples=7)
        else:
            at = builder.leaf(value=number / 8 if kind == "value" else 0.0, samples=7)
        if parent >= 0:
            (builder.right if is_right else builder.left)[parent] = at
    return builder.build()


def chain(depth: int) -> Tree:
    """Splits one below the other, always to the left."""
    return tree_of([True] * depth, "label")


@pytest.mark.parametrize("kind", CODECS)
@given(shape=st.lists(st.booleans(), max_size=60))
def test_read_what_was_written(kind: str, shape: list[bool]) -> None:
    """Decoding gives every field of the encoded tree."""
    tree = tree_of(shape, kind)
    codec = CODECS[kind]

    found = decode(codec, encode(codec, tree))

    for field in FIELDS:
        np.testing.assert_array_equal(getattr(tree, field), getattr(found, field), err_msg=field)


@pytest.mark.parametrize("kind", CODECS)
@given(shape=st.lists(st.booleans(), max_size=12), data=st.data())
def test_cut_short(kind: str, shape: list[bool], data: st.DataObject) -> None:
    """A tree without its last bytes is refused as truncated, wherever it is cut."""
    codec = CODECS[kind]
    written = encode(codec, tree_of(shape, kind))
    cut = data.draw(st.integers(0, len(written) - 1))

    with pytest.raises(PayloadError) as refused:
        decode(codec, written[:cut])

    assert refused.value.code == "payload.truncated"


def test_depths() -> None:
    """A node lies one edge below its parent."""
    tree = tree_of([True, True, False, False, True, False, False], "label")

    assert tree.depths().tolist() == [0, 1, 2, 2, 1, 2, 2]
    assert tree.depth == 2


def test_nodes_are_limited_per_file() -> None:
    """All trees of a payload share one allowance of nodes: two trees of three nodes do not fit in five."""
    limits = replace(DEFAULT_LIMITS, tree_nodes=5)
    codec = Vec(TreeCodec("label"))
    tree = tree_of([True], "label")

    assert len(decode(codec, encode(codec, [tree]), limits)) == 1
    with pytest.raises(PayloadError, match="more nodes than the limit of 5"):
        decode(codec, encode(codec, [tree, tree]), limits)
    with pytest.raises(PayloadError, match="more nodes than the limit of 5"):
        decode(codec, encode(codec, [chain(3)]), limits)


def test_a_payload_of_splits_without_an_end() -> None:
    """The default allowance ends it, before anything is made of the nodes; none of its bytes say how many there are."""
    payload = bytes(16 * (DEFAULT_LIMITS.tree_nodes + 10))

    with pytest.raises(PayloadError, match="more nodes than the limit of 2000000") as caught:
        TreeCodec("label").decode(Cursor(payload, DEFAULT_LIMITS))

    assert caught.value.exit_status == 3


def test_exactly_the_limit() -> None:
    """An allowance of nodes can be used up to the last one."""
    limits = replace(DEFAULT_LIMITS, tree_nodes=6)
    codec = Vec(TreeCodec("label"))
    tree = tree_of([True], "label")

    assert len(decode(codec, encode(codec, [tree, tree]), limits)) == 2


def test_isolation_nodes_are_limited() -> None:
    """Isolation trees draw on the same allowance."""
    limits = replace(DEFAULT_LIMITS, tree_nodes=5)
    codec = Vec(IsolationTreeCodec())
    tree = tree_of([True], "isolation")

    with pytest.raises(PayloadError, match="more nodes than the limit of 5"):
        decode(codec, encode(codec, [tree, tree]), limits)


def test_depth_is_limited() -> None:
    """A tree may be as deep as the limit, and not one level deeper."""
    limits = replace(DEFAULT_LIMITS, tree_depth=4)
    codec = TreeCodec("label")

    assert decode(codec, encode(codec, chain(4)), limits).depth == 4
    with pytest.raises(PayloadError, match="more than 4 levels"):
        decode(codec, encode(codec, chain(5)), limits)


def test_many_small_trees_are_limited() -> None:
    """A tree costs time even when it is one leaf, so a file cannot hold a million of them."""
    codec = Vec(TreeCodec("label"))
    one = encode(TreeCodec("label"), tree_of([], "label"))
    count = 100_000

    with pytest.raises(PayloadError) as refused:
        decode(codec, count.to_bytes(8, "little") + one * count)

    assert refused.value.code == "payload.items"


@pytest.mark.parametrize(("field", "at"), [("feature index", 4), ("class label", 20), ("sample count", 28)])
def test_numbers_above_31_bits(field: str, at: int) -> None:
    """A feature, label or count that no C type of ours holds is refused, and its byte is named."""
    written = bytearray(encode(TreeCodec("label"), tree_of([True], "label")))
    written[at : at + 8] = (2**31).to_bytes(8, "little")

    with pytest.raises(PayloadError, match=f"the {field} is 2147483648") as refused:
        decode(TreeCodec("label"), bytes(written))

    assert f"byte {at} " in refused.value.where
