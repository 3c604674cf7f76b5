"""What each verb is asked for, as one frozen request; those of protection and of the device's loader stand there.

Imports nothing heavy: `aprgen --help` must answer at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from aprgen.cli.device import Loader
from aprgen.cli.protection import Decrypt, Encrypt, Format, Keygen, Opening, Sign
from aprgen.cli.tune_words import Evaluate, Merge, Tune


@dataclass(frozen=True)
class Numerics:
    """The numeric mode, what the integer modes need, and the goal for shapes of trees. calibrate: a file of rows;
    labels: a file of what is right for them."""

    mode: str
    calibrate: Path | None
    labels: Path | None
    method: str
    max_loss: float | None
    optimise: str | None
    tuned: Path | None = None  # records of measured strategies


@dataclass(frozen=True)
class Board:
    """What a bound of time is told. wait_states None: not stated, which is no wait states as an assumption."""

    wait_states: int | None
    line_bytes: int
    core_options: tuple[tuple[str, int], ...]
    witness_seconds: float
    text_bytes: int | None


@dataclass(frozen=True)
class Compile:
    """struct: the payload's struct (--as); out and name: None stands for what the model's file name gives.

    limits: budgets of flash, ram, stack and cycles, as far as they are given.
    """

    model: Path
    target: str
    out: Path | None
    name: str | None
    numeric: Numerics
    struct: str | None
    opening: Opening
    tools: str
    measure: bool
    limits: tuple[tuple[str, int], ...]
    board: Board
    format: Format


@dataclass(frozen=True)
class Explore:
    """calibrate: rows for the integer modes and for means."""

    model: Path
    target: str
    name: str | None
    calibrate: Path | None
    method: str
    board: Board
    json: Path | None
    html: Path | None
    struct: str | None
    opening: Opening
    tools: str
    format: Format


@dataclass(frozen=True)
class Run:
    model: Path
    target: str
    inputs: Path
    output: Path | None
    name: str | None
    numeric: Numerics
    struct: str | None
    opening: Opening
    tools: str
    format: Format


@dataclass(frozen=True)
class Test:
    """targets: names, files, or "all"; rows: random ones beside the edge rows; seed None is the usual one."""

    model: Path
    targets: tuple[str, ...]
    rows: int | None
    seed: int | None
    struct: str | None
    opening: Opening
    numeric: Numerics
    tools: str
    format: Format


@dataclass(frozen=True)
class Wcet:
    """wait_states None: not stated, which is no wait states as an assumption. gate: percent of growth allowed."""

    model: Path
    target: str
    name: str | None
    clock_mhz: float | None
    wait_states: int | None
    line_bytes: int
    deadline_us: float | None
    core_options: tuple[tuple[str, int], ...]
    timing: Path | None
    rows: int
    witness_seconds: float
    json: Path | None
    html: Path | None
    header: Path | None
    object: Path | None
    compare: Path | None
    gate: float | None
    tasks: Path | None
    load: str | None
    load_budget_us: float | None
    load_jitter_us: float | None
    text_bytes: int | None
    measure: bool
    struct: str | None
    opening: Opening
    numeric: Numerics
    tools: str
    format: Format


@dataclass(frozen=True)
class Bundle:
    """models: [NAME=]FILE[:code|bytes|both], or one bundle.toml; None stands for what that says.

    out: a folder, or an .apbundle file, which has created (Unix seconds) and description. rows: random ones to test.
    """

    models: tuple[str, ...]
    target: str | None
    out: Path | None
    name: str | None
    embed: Literal["code", "bytes", "both"]
    optimise: str | None
    limit: int | None
    test: bool
    rows: int | None
    created: int
    description: str
    measure: bool
    opening: Opening
    tools: str
    format: Format


@dataclass(frozen=True)
class Inspect:
    model: Path
    struct: str | None
    opening: Opening
    format: Format


@dataclass(frozen=True)
class Validate:
    models: tuple[Path, ...]
    struct: str | None
    opening: Opening
    format: Format


@dataclass(frozen=True)
class Convert:
    """form: "native" or "bincode"."""

    model: Path
    out: Path
    form: str
    keep_record: bool
    struct: str | None
    opening: Opening
    format: Format


@dataclass(frozen=True)
class Targets:
    """name: empty for all."""

    name: str
    format: Format


Request = (
    Compile | Run | Test | Wcet | Explore | Bundle | Inspect | Validate | Convert | Keygen | Sign | Encrypt | Decrypt
    | Loader | Targets | Tune | Merge | Evaluate
)
