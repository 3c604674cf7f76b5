"""From the words about trust and secrets to the keys and passwords themselves: reads files, the terminal, a variable.

The one place that looks into the environment, and only for a variable that an option names. Knows no .apr files.
"""

from __future__ import annotations

import getpass
import os
import sys
from dataclasses import replace
from typing import cast

from aprgen.cli.printable import visible
from aprgen.cli.protection import Opening, PasswordSource
from aprgen.cli.reading import DEFAULT_READING
from aprgen.container import NO_ACCESS, Access, Level, Loading, Mode, Secrets, Trust
from aprgen.errors import UsageError


def access_for(opening: Opening) -> Access:
    """What a reader may be told. Key files are only looked at when there are any."""
    if replace(opening, reading=DEFAULT_READING) == Opening():
        return NO_ACCESS
    from aprgen.key_files import secret_key, trusted_keys

    trust = Trust(
        trusted_keys(opening.trust) if opening.trust else None, opening.require_signature, opening.allow_legacy
    )
    key = None if opening.key is None else secret_key(opening.key, "encrypt")
    return Access(trust, Secrets(password_from(opening.password), key))


def loading_for(opening: Opening) -> Loading:
    """How the file is to be read, or a UsageError."""
    asked = opening.reading
    return Loading(cast(Level, asked.level), cast(Mode, asked.mode), asked.memory, asked.ring)


def password_from(source: PasswordSource, *, twice: bool = False) -> bytes | None:
    """The password as UTF-8, or None when there is no source. twice: a new one, so a person types it again."""
    if source.file is not None:
        from aprgen.key_files import password_file

        found = password_file(source.file)
        if found.others_can_read:
            print(visible(f"note: others can read {source.file}; chmod 600 it"), file=sys.stderr)
        return found.password
    if source.variable is not None:
        value = os.environ.get(source.variable)
        if value is None:
            raise UsageError(
                "usage.password", f"there is no environment variable {source.variable}", where="--password-env",
                hint="set and export it, or give --password-file F",
            )  # fmt: skip
        return os.fsencode(value)
    if source.prompt:
        return _asked(twice)
    return None


def _asked(twice: bool) -> bytes:
    if not sys.stdin.isatty():
        raise UsageError(
            "usage.password", "there is no terminal to ask on", where="--password-prompt",
            hint="give --password-file F, or --password-env NAME",
        )  # fmt: skip
    password = getpass.getpass("password: ")
    if twice and getpass.getpass("again: ") != password:
        raise UsageError("usage.password", "the two passwords differ", where="--password-prompt", hint="try again")
    return password.encode("utf-8", "surrogateescape")
