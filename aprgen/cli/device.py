"""The words of `aprgen loader`: what the device's loader takes in, what it leaves out. Imports nothing heavy."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from aprgen.cli.protection import Format

CRC_TABLES = (0, 64, 1024, 4096)  # as in device_loader.py


@dataclass(frozen=True)
class Loader:
    """parts and without: names, which the loader's own module checks. archives: a folder, instead of the registry."""

    out: Path
    target: str
    parts: tuple[str, ...]
    without: tuple[str, ...]
    crc_table: int
    archives: Path | None
    format: Format


def add_loader(verb: Callable[[str, str], argparse.ArgumentParser], default_target: str) -> None:
    one = verb("loader", "Write the C of the device's loader of .apr files, with the decoders that it needs.")
    one.add_argument("-o", "--out", metavar="DIR", type=Path, required=True, help="the folder to write to")
    one.add_argument(
        "--target", "-t", metavar="T", default=default_target, help=f"a target's name or TOML file ({default_target})"
    )
    one.add_argument(
        "--with", metavar="PARTS", dest="parts", type=_names, action="extend", default=[],
        help="ed25519, zstd, lz4: fetched from the package registry, by version and sha256",
    )  # fmt: skip
    one.add_argument(
        "--without", metavar="GROUPS", type=_names, action="extend", default=[],
        help="trees, dense, distances, gauss, functions, powers, text: kinds of models that are refused",
    )  # fmt: skip
    one.add_argument(
        "--crc-table", metavar="BYTES", type=int, choices=CRC_TABLES, default=64,
        help="of flash for the checksum: 0, 64, 1024 or 4096 (64)",
    )  # fmt: skip
    one.add_argument("--archives", metavar="DIR", type=Path, help="where the archives are, instead of a registry")


def loader_of(n: argparse.Namespace) -> Loader:
    return Loader(n.out, n.target, tuple(n.parts), tuple(n.without), n.crc_table, n.archives, n.format)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]
