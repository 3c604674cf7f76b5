"""The native payload: a Program as fixed little-endian structures, which C uses where they lie.

docs/native-payload.md has the byte tables. `layout` knows them, `write` makes the bytes, `read` believes none of them.
Knows nothing of families, and of files only where payloads begin.
"""

from __future__ import annotations

from aprgen.native.read import Native, program_of, read_native, read_record
from aprgen.native.structures import ALIGNMENT
from aprgen.native.write import Names, write_native

__all__ = ["ALIGNMENT", "Names", "Native", "program_of", "read_native", "read_record", "write_native"]
