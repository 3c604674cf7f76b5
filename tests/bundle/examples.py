"""Bundles of fixtures, each made at most once per process, and ways to compile them here."""

from __future__ import annotations

import functools
from dataclasses import replace

from aprgen.bundle.compile import Bundle, BundleOptions, compile_bundle
from aprgen.bundle.members import EMBEDS, Wish
from aprgen.target import load_target
from tests.examples import PATHS

# Every kind of function, both kinds of embedding, a signed and an encrypted file, and one that is no v1 file.
ALL_KINDS = (
    "linreg", "kmeans:both", "rfc:both", "logreg_bc", "gaussian_nb", "tfidf", "ngram_shell", "encpw_kmeans:bytes",
    "signed_dtc:bytes", "v2_mlp_f32:both",
)  # fmt: skip


def wish(word: str, **changes: object) -> Wish:
    """Of a fixture, "NAME" or "NAME:embed"."""
    name, _, embed = word.partition(":")
    made = Wish(name, PATHS[name].read_bytes(), f"{name}.apr")
    for known in EMBEDS:
        if embed == known:
            made = replace(made, embed=known)
    return replace(made, **changes)  # type: ignore[arg-type]


@functools.cache
def bundle(*words: str, target: str = "host", name: str = "fleet") -> Bundle:
    return compile_bundle([wish(word) for word in words], load_target(target), BundleOptions(name))
