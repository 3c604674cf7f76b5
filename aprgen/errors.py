"""The errors a user can meet, one class per stage, each with the exit status of the commands.

Knows how an error reads; knows nothing of what raises it.
"""

from __future__ import annotations

from typing import ClassVar


class AprgenError(Exception):
    """An error with a stable code, what happened, where, and what to do about it."""

    exit_status: ClassVar[int] = 1

    def __init__(self, code: str, what: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(what)
        self.code = code
        self.what = what
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def lines(self) -> tuple[str, str, str]:
        """Exactly three lines: what, where, what to do."""
        return (
            f"error[{self.code}]: {self.what}",
            f"  where: {self.where or 'the command line'}",
            f"  to do: {self.hint or 'see aprgen --help'}",
        )


class ComparisonError(AprgenError):
    """Two results that must agree do not, or a gate failed."""

    exit_status = 1


class UsageError(AprgenError):
    """The request itself makes no sense: an unknown option, a wrong shape, an unwritable folder."""

    exit_status = 2


class ContainerError(AprgenError):
    """The file is no valid .apr file: framing, checksum, metadata or compression."""

    exit_status = 3


class PayloadError(ContainerError):
    """The framing is sound, but the bytes inside are no model that can be trusted.

    `progress` is how many payload bytes were understood before the fault.
    """

    def __init__(self, code: str, what: str, *, where: str = "", hint: str = "", progress: int = 0) -> None:
        super().__init__(code, what, where=where, hint=hint)
        self.progress = progress


class SecurityError(AprgenError):
    """Refused for a signature, a key, a cipher suite, or because the file is encrypted."""

    exit_status = 4


class UnsupportedError(AprgenError):
    """A sound request that aprgen cannot serve: this model kind, this target, this mode."""

    exit_status = 5


class BudgetError(AprgenError):
    """The result does not fit: flash, RAM, stack or time."""

    exit_status = 6


class ToolchainError(AprgenError):
    """A compiler, linker, emulator or other program is missing or failed."""

    exit_status = 7
