"""The case tables against those of the Python that runs the tests, for the characters that it knows."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from aprgen.unicode_case import ACCENTS, LOWER, WHITE_SPACE, lowercase, split_whitespace, strip_accents

KNOWN = [chr(code) for code in range(0x110000) if unicodedata.category(chr(code)) not in ("Cn", "Cs")]
SIGMA = "\N{GREEK CAPITAL LETTER SIGMA}"


def test_every_known_character_lowers_as_in_python() -> None:
    """One character alone becomes what str.lower() makes of it."""
    assert [char for char in KNOWN if lowercase(char) != char.lower()] == []


def test_every_known_character_counts_for_a_sigma_as_in_python() -> None:
    """Before and after a capital sigma, each character decides as in str.lower(), but for two that Unicode changed."""
    before = {char for char in KNOWN if lowercase(f"A{char}{SIGMA}") != f"A{char}{SIGMA}".lower()}
    after = {char for char in KNOWN if lowercase(f"A{SIGMA}{char}A") != f"A{SIGMA}{char}A".lower()}

    assert (before | after) - {"\u0295", "\U0001171e"} == set()


@given(
    st.text(st.sampled_from("A" + SIGMA + "'\N{COMBINING ACUTE ACCENT}.1 b\N{MODIFIER LETTER SMALL H}"), max_size=12)
)
def test_sigma_in_any_context(text: str) -> None:
    """Final sigma looks past ignorable characters on both sides, as in str.lower()."""
    assert text.lower() == lowercase(text)


def test_dotted_capital_i_becomes_two_characters() -> None:
    """U+0130 keeps its dot; it is the only character that grows."""
    assert lowercase("\u0130") == "i\u0307"
    assert 0x130 not in LOWER


def test_lowercasing_twice_changes_nothing() -> None:
    """No target of a mapping has a mapping: stop words are lowercased a second time."""
    assert set() == set(LOWER.values()) & (set(LOWER) | {0x130})


def test_white_space_is_the_unicode_property() -> None:
    """25 code points; Python's own split also takes U+001C to U+001F."""
    python = {ord(char) for char in KNOWN if char.isspace()}

    assert len(WHITE_SPACE) == 25
    assert python - WHITE_SPACE == {0x1C, 0x1D, 0x1E, 0x1F}
    assert WHITE_SPACE - python == set()


def test_split_drops_empty_tokens() -> None:
    """Any run of white space separates; none at the ends counts; U+001F is an ordinary character."""
    assert split_whitespace("\u3000a\t\u00a0b\x1fc\u2028") == ["a", "b\x1fc"]
    assert split_whitespace("") == []
    assert split_whitespace(" \n") == []


def test_accents_are_a_fixed_list() -> None:
    """53 letters of Latin-1 lose their accent; others, and combining marks, stay."""
    assert len(ACCENTS) == 53
    assert [code for code, plain in ACCENTS.items() if unicodedata.normalize("NFD", chr(code))[0] != chr(plain)] == []
    assert strip_accents("Crème Brûlée, ŸŠő e\u0301 ø ß") == "Creme Brulee, ŸŠő e\u0301 ø ß"
