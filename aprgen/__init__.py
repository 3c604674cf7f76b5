"""aprgen compiles small trained models (.apr files) to C: `load`, `compile`, and the classes they give.

The names come from `aprgen.api`, on first use: a command that needs none of them starts faster.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aprgen.api import Artifact, Image, Model, Timing, explore, load
    from aprgen.api import compile_to_c as compile
    from aprgen.strategies import tune

__version__ = "0.1.0"

__all__ = ["Artifact", "Image", "Model", "Timing", "__version__", "compile", "explore", "load", "tune"]


def __getattr__(name: str) -> object:
    """The public names, loaded when first asked for (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module 'aprgen' has no attribute {name!r}")
    if name == "tune":
        from aprgen import strategies

        return strategies.tune
    from aprgen import api

    return getattr(api, "compile_to_c" if name == "compile" else name)
