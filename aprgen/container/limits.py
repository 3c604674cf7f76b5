"""How much a file from a stranger may cost: bytes, items, depth.

Every default keeps one process under 300 MB and 2 s on any file, hostile ones included, and is far above what a
model for a microcontroller needs. Knows numbers only; the readers enforce them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from aprgen.container.memory import Memory

MIB = 1 << 20


@dataclass(frozen=True)
class Limits:
    """Refuse anything larger. The format itself allows 1 GiB of payload; pass other limits to read such files."""

    file_bytes: int = 80 * MIB  # the payload limit, stored plainly, and room for metadata
    payload_bytes: int = 64 * MIB  # unpacked; with the file itself in memory, half of the 300 MB
    compression_ratio: int = 40_000  # zstd reaches about 32,000 on constant data: more is a lie in the header
    zstd_frames: int = 4_096  # aprender writes one; each costs a decoder of about 0.3 ms at worst
    lz4_sequences: int = 1_000_000  # of a streamed LZ4 block, each about 1 us; other modes have the library's decoder
    metadata_bytes: int = 1 * MIB  # usually some hundred; at worst (a million empty maps) 80 MB and 0.3 s
    metadata_items: int = 250_000  # values in the MessagePack area; as JSON they take 60 MB and 0.3 s more at worst
    metadata_depth: int = 64  # aprender allows about 1000, msgpack 1023; nobody nests free JSON that deep
    payload_items: int = 300_000  # records, strings, lists, arrays, weighed by Cursor.items: 100 MB and 1 s at worst
    tree_depth: int = 512  # checked by the tree decoders
    tree_nodes: int = 2_000_000  # in all trees of a file: 0.6 s and 280 MB at worst, in one tree
    json_bytes: int = 4 * MIB  # metadata of an APR v2 file
    tensors: int = 4_096
    tensor_dimensions: int = 8
    kdf_memory_kib: int = 131_072  # Argon2id of an encrypted file: twice what aprgen writes
    kdf_kib_passes: int = 524_288  # its memory times its passes: 0.5 s with one lane
    kdf_lanes: int = 8
    memory: Memory | None = None  # the account of one file's reading; None: not counted

    def within(self, memory_bytes: int | None) -> Limits:
        """The same limits and a new account with this budget."""
        return self if memory_bytes is None else replace(self, memory=Memory(memory_bytes))

    @property
    def taken(self) -> int:
        """To give back to, later."""
        return 0 if self.memory is None else self.memory.taken

    @property
    def room(self) -> int:
        """The most that a payload may still take."""
        return self.payload_bytes if self.memory is None else min(self.payload_bytes, self.memory.left)

    def give_back(self, taken: int) -> None:
        """What was taken since is free again."""
        if self.memory is not None:
            self.memory.taken = taken

    def take(self, n_bytes: int, what: str, where: str = "") -> None:
        """Charge memory before it is allocated; BudgetError when the budget does not hold it."""
        if self.memory is not None:
            self.memory.take(n_bytes, what, where)


DEFAULT_LIMITS = Limits()
