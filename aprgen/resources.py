"""Where the folders that travel with the package are: templates, targets, runtime_c, qemu.

In a checkout they lie beside the package, in a wheel inside it. Knows nothing of their contents.
"""

from __future__ import annotations

import functools
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


@functools.cache
def folder(name: str) -> Path:
    """The folder `name`; a broken installation raises FileNotFoundError."""
    for candidate in (_PACKAGE / "_data" / name, _PACKAGE.parent / name):
        if candidate.is_dir():
            return candidate
    raise FileNotFoundError(f"aprgen is installed without its folder {name!r}")
