"""All hostile files, always the same: damaged, lying or senseless, made from the fixtures and from nothing.

The first word of a name says who must refuse the file: `container/...` the readers of aprgen.container,
`payload/...` a family when it decodes or checks, `odd/...` perhaps nobody. None may crash, hang or fill the memory.
"""

from __future__ import annotations

from collections.abc import Callable

from tests.hostile import framing, payloads, protectedframing, v2files
from tests.hostile.bytesmith import Named

SOURCES: tuple[tuple[str, Callable[[], Named]], ...] = (
    ("container/no_apr", framing.no_apr_files),
    ("container/cut", framing.cuts),
    ("container/bit", framing.bit_flips),
    ("container/header", framing.header_claims),
    ("container/compression", framing.compression_bombs),
    ("container/metadata", framing.metadata_bombs),
    ("container/v2", v2files.damaged),
    ("container/protected", protectedframing.protected_files),
    ("payload/counts", payloads.counts),
    ("payload/deep", payloads.deep_trees),
    ("payload/senseless", payloads.senseless),
    ("odd/framing", framing.odd_files),
    ("odd/fixture", payloads.mutated_fixtures),
    ("odd/v2", v2files.odd),
)


def hostile_files() -> Named:
    """(name, bytes) one after the other; keep none, some are large."""
    for prefix, source in SOURCES:
        for name, data in source():
            yield f"{prefix}/{name}", data
