"""Other people's C for the device's loader: which archives hold it (runtime_c/parts.toml), and how it is taken out.

An archive comes from the cache, from a folder that the caller names, or from the package registry that pip is set up
for; wherever it comes from, its sha256 decides. Nothing of it is run here. Knows nothing of what the C does.
"""

from __future__ import annotations

import functools
import hashlib
import io
import sys
import tarfile
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from aprgen.errors import ToolchainError
from aprgen.process import cache_folder, fingerprint, first_lines, run
from aprgen.resources import folder

FETCH_SECONDS = 300.0  # pip makes a build environment of the package to ask for its version
MAX_SOURCE_BYTES = 1 << 23
_HASH_WORDS = "DO NOT MATCH THE HASHES"  # of pip


@dataclass(frozen=True, eq=False)
class Part:
    """Of parts.toml. sources: name in the build, path in the archive; keep: (from, until) lines of a source."""

    name: str
    summary: str
    macro: str
    own: tuple[str, ...]
    package: str
    version: str
    archive: str
    sha256: str
    licence: str
    licence_file: str
    sources: Mapping[str, str]
    keep: Mapping[str, tuple[tuple[str, str], ...]]
    flags: tuple[str, ...]
    small: tuple[str, ...]

    @property
    def units(self) -> tuple[str, ...]:
        """The sources that are compiled."""
        return tuple(name for name in self.sources if name.endswith(".c"))


@functools.cache
def parts() -> Mapping[str, Part]:
    """All there are, by name."""
    table = tomllib.loads((folder("runtime_c") / "parts.toml").read_text(encoding="utf-8"))
    return {
        name: Part(
            name=name,
            summary=entry["summary"],
            macro=entry["macro"],
            own=tuple(entry["own"]),
            package=entry["package"],
            version=entry["version"],
            archive=entry["archive"],
            sha256=entry["sha256"],
            licence=entry["licence"],
            licence_file=entry["licence_file"],
            sources=entry["sources"],
            keep={source: tuple((a, b) for a, b in pieces) for source, pieces in entry.get("keep", {}).items()},
            flags=tuple(entry["flags"]),
            small=tuple(entry["small"]),
        )
        for name, entry in table.items()
    }


def taken(part: Part, archives: Path | None = None, cache: Path | None = None) -> dict[str, str]:
    """The sources of a part and LICENSE.NAME, each with where it is from in its first lines.

    archives: a folder with the archive, for machines without a registry; nothing else is then looked at. cache: where
    archives are kept, by default the user's cache folder.
    """
    data = _archive(part, archives, cache_folder() / "archives" if cache is None else cache)
    origin = f"{part.package} {part.version}, sha256 {part.sha256}"
    with tarfile.open(fileobj=io.BytesIO(data)) as opened:
        texts = {
            name: f"/* Taken by aprgen from {path} of the package {origin}. */\n"
            + _kept(part, name, _member(part, opened, path))
            for name, path in part.sources.items()
        }
        licence = _member(part, opened, part.licence_file)
    texts[f"LICENSE.{part.name}"] = f"Taken by aprgen from {part.licence_file} of the package {origin}.\n\n{licence}"
    return texts


def _archive(part: Part, archives: Path | None, cache: Path) -> bytes:
    if archives is not None:
        return _checked(part, _read(archives / part.archive), str(archives / part.archive))
    kept = cache / part.sha256
    if kept.is_file():
        data = kept.read_bytes()
        if hashlib.sha256(data).hexdigest() == part.sha256:
            return data
    with tempfile.TemporaryDirectory(prefix="aprgen-") as work:
        data = _checked(part, _fetch(part, Path(work)), "the package registry of pip")
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    beside = kept.with_name(f"{kept.name}.{fingerprint(str(id(data)), work)}")
    beside.write_bytes(data)
    beside.replace(kept)
    return data


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ToolchainError(
            "archive.missing", f"the archive cannot be read: {error.strerror}", where=str(path),
            hint=f"put {path.name} there, or let pip fetch it",
        ) from error  # fmt: skip


def _fetch(part: Part, work: Path) -> bytes:
    """By pip, which knows the registry and refuses another hash before it looks into the archive."""
    wanted = work / "wanted.txt"
    wanted.write_text(f"{part.package}=={part.version} --hash=sha256:{part.sha256}\n", encoding="utf-8")
    options = ("--quiet", "--disable-pip-version-check", "--no-input", "--no-deps", "--no-binary", part.package)
    done = run(
        (sys.executable, "-m", "pip", "download", *options, "--require-hashes", "-r", str(wanted), "-d", str(work)),
        work=f"fetching {part.archive}", folder=work, seconds=FETCH_SECONDS,
    )  # fmt: skip
    if _HASH_WORDS in done.stderr:
        raise _wrong_hash(part, "the package registry of pip")
    path = work / part.archive
    if done.status != 0 or not path.is_file():
        lines = done.stderr.splitlines()
        reason = first_lines("\n".join([line for line in lines if line.startswith("ERROR")] or lines[-1:]))
        raise ToolchainError(
            "archive.unreachable", f"pip could not fetch {part.package} {part.version}: {reason or 'no such archive'}",
            where="the package registry of pip",
            hint=f"connect to it, or name a folder that holds {part.archive}: --archives DIR; or leave {part.name} out",
        )  # fmt: skip
    return path.read_bytes()


def _checked(part: Part, data: bytes, where: str) -> bytes:
    if hashlib.sha256(data).hexdigest() != part.sha256:
        raise _wrong_hash(part, where)
    return data


def _wrong_hash(part: Part, where: str) -> ToolchainError:
    return ToolchainError(
        "archive.hash", f"{part.archive} is not the archive that was pinned: its sha256 is not {part.sha256[:16]}...",
        where=where, hint="do not build with it: somebody changed it, or it is cut short",
    )  # fmt: skip


def _member(part: Part, opened: tarfile.TarFile, path: str) -> str:
    """Read in memory: no path of the archive becomes one of this machine."""
    member = opened.getmember(f"{part.package}-{part.version}/{path}")
    stream = opened.extractfile(member)
    if stream is None or member.size > MAX_SOURCE_BYTES:
        raise ToolchainError(
            "archive.member", f"{path} is no file of a sensible size", where=part.archive, hint="correct parts.toml"
        )
    return stream.read().decode("utf-8", errors="replace")


def _kept(part: Part, name: str, text: str) -> str:
    """The parts of a source that parts.toml keeps, or all of it."""
    if name not in part.keep:
        return text
    pieces: Sequence[tuple[str, str]] = part.keep[name]
    found = []
    for first, last in pieces:
        start = 0 if not first else text.find(f"{first}\n")
        end = text.find(f"{last}\n", start)
        if start < 0 or end < 0:
            raise ToolchainError(
                "archive.keep", f"{name} has no line {first if start < 0 else last!r}", where=part.archive,
                hint="correct what parts.toml keeps of it",
            )  # fmt: skip
        found.append(text[start:end])
    return "".join(found)
