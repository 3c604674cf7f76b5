"""The account of the memory that reading one file takes, against a budget: what does not fit is refused before.

Knows numbers; each reader says what it is about to allocate. Python's own interpreter and modules do not count.
"""

from __future__ import annotations

from aprgen.errors import BudgetError


class Memory:
    """`taken` is the sum of what was asked for and not given back, `most` the largest that it was."""

    __slots__ = ("limit", "most", "taken")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.taken = self.most = 0

    @property
    def left(self) -> int:
        return max(0, self.limit - self.taken)

    def take(self, n_bytes: int, what: str, where: str = "") -> None:
        """Before the allocation. Raises BudgetError when the budget does not hold it."""
        wanted = self.taken + n_bytes
        if wanted > self.limit:
            raise BudgetError(
                "memory.budget",
                f"{what}: {n_bytes} bytes beside {self.taken} that are taken, and the budget is {self.limit}",
                where=where or "reading the file",
                hint=f"give at least --memory {wanted}, or read in another mode (docs/loading.md says what each takes)",
            )
        self.taken = wanted
        self.most = max(self.most, wanted)
