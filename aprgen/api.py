"""The Python interface: load a model, compile it, build it, run it, bound it. `import aprgen` offers these names.

Knows how the layers below fit together for a caller; everything else lies there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aprgen import core
from aprgen.accuracy import Calibration
from aprgen.build import Built, build_artifact, load_into_process
from aprgen.container import (
    DEFAULT_LIMITS,
    Access,
    Level,
    Limits,
    Loading,
    Mode,
    SecretKey,
    Secrets,
    Trust,
    Verification,
    open_source,
)
from aprgen.container.loading import LEAST_RING_BYTES
from aprgen.errors import UnsupportedError, UsageError
from aprgen.families.base import Fact
from aprgen.footprint import Footprint
from aprgen.in_process import Native, load_native, target_of_this_machine
from aprgen.loaded import Loaded, load_model
from aprgen.output_folder import write_folder
from aprgen.passes.ranges import Method
from aprgen.payload_form import Form, in_form
from aprgen.program import Array
from aprgen.rows import text_array
from aprgen.runners.execution import Execution
from aprgen.runners.shared import why_not_here
from aprgen.spell import identifier
from aprgen.target import Target, load_target
from aprgen.tuned.decision import Tuned, load_tuned

if TYPE_CHECKING:
    from aprgen.exploration import Exploration
    from aprgen.wcet.report import Report


Records = str | Path | Tuned | None  # a file of `aprgen tune`, or what load_tuned read


@dataclass(frozen=True, eq=False)
class Model:
    """A model as its original library computes it."""

    loaded: Loaded
    name: str  # a C identifier, from the file's name

    @property
    def info(self) -> tuple[Fact, ...]:
        """Structure: features, parameters, trees, classes."""
        return self.loaded.model.facts()

    @property
    def signature(self) -> Verification:
        """Who signed the file: state "trusted" with the name of a trusted key, "unverified", or "unsigned"."""
        return self.loaded.verification

    @property
    def n_features(self) -> int:
        return self.loaded.model.n_features

    def inputs(self, rows: ArrayLike | Sequence[str]) -> Array:
        """Rows as the model takes them: float32 [rows, n_features], or texts. Columns that it ignores are cut.

        Raises UsageError for any other shape.
        """
        if self._takes_texts:
            return text_array([str(text) for text in np.atleast_1d(np.asarray(rows, dtype=object))])
        array = np.asarray(rows, dtype=np.float32)
        array = array.reshape(1, -1) if array.ndim == 1 else array
        n = self.n_features
        wide = array.ndim == 2 and array.shape[1] > n and self.loaded.model.wider_rows
        if not wide and (array.ndim != 2 or array.shape[1] != n):
            raise UsageError(
                "usage.shape",
                f"the rows have shape {list(array.shape)}, the model takes [rows, {n}]",
                where="the input rows",
                hint=f"give float32 rows of {n} features",
            )
        return np.ascontiguousarray(array[:, :n])

    @cached_property
    def _takes_texts(self) -> bool:
        return self.loaded.model.lower().source.element in ("text", "prefix")

    def native(
        self,
        target: str | Target | None = None,
        *,
        numeric: str = "f32",
        calibrate: ArrayLike | None = None,
        optimise: str | None = None,
        tuned: Records = None,
        tools: str = "auto",
    ) -> Native:
        """The model as C in this process, for the target that this machine is, or another one that it can run.

        numeric, calibrate, optimise, tuned: as of `aprgen.compile`. The library is built once, and kept in the user's
        cache by its contents. Raises ToolchainError without a compiler, or where the target's code does not run here.
        """
        chosen = target_of_this_machine() if target is None else target
        made = compile_to_c(self, chosen, numeric=numeric, calibrate=calibrate, optimise=optimise, tuned=tuned)
        return load_native(made.code, self.inputs, tools)

    def in_form(self, form: Form, *, keep_record: bool = True) -> bytes:
        """The model's file with its payload "native" or as "bincode", as `aprgen convert` writes it.

        keep_record: the native form keeps the original payload, so that it can be given back.
        """
        return in_form(self.loaded, form, keep_record=keep_record)

    def predict(self, rows: ArrayLike | Sequence[str]) -> NDArray[np.float32]:
        """Scores [rows, n_outputs] in the arithmetic of the original library.

        Here and in `classify`, a file that was mapped or is read lazily, and was changed since, is a ContainerError.
        """
        self.loaded.require_same()
        self.loaded.model.check()
        return self.loaded.model.predict(self.inputs(rows))

    def classify(self, rows: ArrayLike | Sequence[str]) -> NDArray[np.int32] | None:
        """Original labels [rows]; None when the model does not classify."""
        self.loaded.require_same()
        self.loaded.model.check()
        return self.loaded.model.classify(self.inputs(rows))


@dataclass(frozen=True, eq=False)
class Artifact:
    """Generated C and the facts about it."""

    code: core.Artifact
    model: Model

    @property
    def texts(self) -> Mapping[str, str]:
        """File names and their texts."""
        return self.code.texts

    @property
    def manifest(self) -> Mapping[str, object]:
        return self.code.manifest

    def write(self, folder: str | Path) -> Path:
        """Write all files into `folder`, all or none; files of other names stay."""
        write_folder(Path(folder), self.texts)
        return Path(folder)

    def build(self, *, tools: str = "auto", work: str | Path | None = None) -> Image:
        """Compile and link for the target. tools: "auto", "system" or "pypi".

        Raises ToolchainError without a compiler and BudgetError when it does not fit the target.
        """
        where = None if work is None else Path(work)
        loadable = not why_not_here(self.code.target) and self.code.program.source.element != "prefix"
        library = load_into_process(self.code, tools=tools, work=where) if loadable else None
        native = None if library is None else Native(self.code, library, self.model.inputs)
        return Image(self, native, build_artifact(self.code, tools=tools, work=where))

    def wcet(
        self,
        *,
        clock_mhz: float | None = None,
        wait_states: int | None = None,
        line_bytes: int = 4,
        deadline_us: float | None = None,
        core_options: Mapping[str, int] | None = None,
        rows: int = 200,
        tasks: str | Path | None = None,
        load: str | None = None,
        load_budget_us: float | None = None,
        load_jitter_us: float | None = None,
        text_bytes: int | None = None,
        tools: str = "auto",
    ) -> Timing:
        """Bound time and stack of the built code, as `aprgen wcet` does; the arguments are its options.

        A function without a bound, a missed deadline and a contradiction stand in the report and raise nothing.
        Raises UnsupportedError for a target of which nothing can be said, and needs the extra `wcet`.
        """
        from aprgen.wcet.analyse import Question, analyse
        from aprgen.wcet.load import load_platform
        from aprgen.wcet.taskset import read_tasks

        if clock_mhz is None and (deadline_us is not None or tasks is not None):
            raise UsageError(
                "usage.arguments", "times need a clock", where="deadline_us or tasks", hint="give clock_mhz, too"
            )
        stated = {
            "clock-mhz": clock_mhz, "deadline-us": deadline_us, "wait-states": wait_states, "line-bytes": line_bytes,
            "rows": rows, "tasks": None if tasks is None else Path(tasks).name,
            "load": None if load is None else Path(load).name, "load-budget-us": load_budget_us,
            "load-jitter-us": load_jitter_us, "text-bytes": text_bytes,
        }  # fmt: skip
        stated |= {f"core-option {name}": value for name, value in (core_options or {}).items()}
        question = Question(
            clock_mhz=clock_mhz,
            wait_states=wait_states,
            line_bytes=line_bytes,
            deadline_us=deadline_us,
            core_options=core_options,
            rows=rows,
            tools=tools,
            model_file=f"{self.model.name}.apr",
            command=f"aprgen wcet {self.model.name}.apr --target {self.code.target.name}{_words(stated)}",
            tasks=None if tasks is None else read_tasks(Path(tasks)),
            platform=None if load is None else load_platform(load),
            load_budget_us=load_budget_us,
            load_jitter_us=load_jitter_us,
            text_bytes=text_bytes,
        )
        analysed = analyse(self.model.loaded, self.code, question)
        return Timing(analysed.report, analysed.object)


@dataclass(frozen=True, eq=False)
class Timing:
    """What the analysis says. report.verdict.status: bound, bound-measured-table, instruction-count or refused.

    object: the object file of the model, to which alone the numbers apply; link this one.
    """

    report: Report
    object: bytes

    def json(self) -> str:
        """The document of `aprgen wcet --json`; templates/report/wcet.schema.json describes it."""
        from aprgen.wcet.report import document

        return json.dumps(document(self.report), indent=1, allow_nan=False) + "\n"

    def html(self) -> str:
        """One page that needs nothing else."""
        from aprgen.wcet import page

        return page.html(json.loads(self.json()))

    def header(self) -> str:
        """NAME_wcet.h. Raises UnsupportedError where there is no bound, or one that a run contradicts."""
        from aprgen.wcet import page

        if self.report.verdict.status == "refused" or self.report.violations:
            raise UnsupportedError(
                "wcet.header", "there is no bound that a header could state", where=self.report.verdict.entry,
                hint="report.entries say why",
            )  # fmt: skip
        return page.header(json.loads(self.json()))


@dataclass(frozen=True, eq=False)
class Image:
    """A built model, for the target's runner; where this machine runs its code also a library in this process."""

    artifact: Artifact
    native: Native | None
    built: Built

    @property
    def footprint(self) -> Footprint:
        """Flash and RAM that the model takes."""
        return self.built.footprint

    def run(self, rows: ArrayLike | Sequence[str]) -> Execution:
        """Execute rows on the target's runner: outputs (`predict`, `classify`), instructions per row, stack."""
        return self.built.run(self.artifact.model.inputs(rows))

    def predict(self, rows: ArrayLike | Sequence[str]) -> NDArray[np.float32]:
        """Scores, float32 [rows, n_outputs]; where there is a library from it, as fast as from C."""
        if self.native is not None:
            return self.native.predict(rows)
        return self.built.run(self.artifact.model.inputs(rows), count=False).scores

    def classify(self, rows: ArrayLike | Sequence[str]) -> NDArray[np.int32] | None:
        """Original labels, int32 [rows]; None when the model does not classify."""
        if self.native is not None:
            return self.native.classify(rows)
        return self.built.run(self.artifact.model.inputs(rows), count=False).labels


def _words(stated: Mapping[str, float | str | None]) -> str:
    """Options as the command line has them; --core-option is NAME=N."""
    given = {name: f"{value:g}" if isinstance(value, float) else str(value) for name, value in stated.items()
             if value is not None}  # fmt: skip
    return "".join(f" --{name}{'=' if ' ' in name else ' '}{value}" for name, value in given.items())


def _columns(labels: ArrayLike | None) -> NDArray[np.float32] | None:
    """One label, or the values, of each row."""
    given = None if labels is None else np.asarray(labels, np.float32)
    return given.reshape(-1, 1) if given is not None and given.ndim == 1 else given


def load(
    path: str | Path,
    *,
    struct: str | None = None,
    limits: Limits = DEFAULT_LIMITS,
    trust: str | Path | Sequence[str | Path] | Trust | None = None,
    require_signature: bool = False,
    key: str | Path | SecretKey | None = None,
    password: str | bytes | None = None,
    verify: Level = "standard",
    mode: Mode = "eager",
    memory: int | None = None,
    ring_buffer: int = LEAST_RING_BYTES,
) -> Model:
    """The model in an .apr file. `struct` names the payload's struct where the file cannot.

    trust: public keys of signers, as files or folders of them; unsigned files and those of others are then refused, and
    with require_signature unsigned ones in any case. key (a file) or password opens an encrypted model. What does not
    hold is a SecurityError.

    verify: "unsafe-skip", "checksum-only", "standard" or "paranoid"; none of them weakens trust or require_signature.
    mode: "eager", "mapped" (views of a sealed copy), "streaming" (at most ring_buffer bytes beside the result) or
    "lazy" (trees and tensors are read when they are walked). memory: bytes that reading may take, BudgetError before
    more would be allocated. docs/loading.md says what each level checks and what each mode takes.
    """
    access = _access(trust, require_signature, key, password)
    loading = Loading(verify, mode, memory, ring_buffer)
    counted = limits.within(memory)
    source = open_source(Path(path), loading, counted)
    loaded = load_model(source, struct=struct, limits=counted, access=access, checks=loading.checks)
    return Model(loaded, identifier(Path(path).stem))


def _access(
    trust: str | Path | Sequence[str | Path] | Trust | None,
    require_signature: bool,
    key: str | Path | SecretKey | None,
    password: str | bytes | None,
) -> Access:
    if trust is None and key is None and password is None:
        return Access(Trust(require_signature=require_signature))
    from aprgen.key_files import secret_key, trusted_keys

    if isinstance(trust, Trust):
        trusted = replace(trust, require_signature=trust.require_signature or require_signature)
    else:
        places = () if trust is None else (trust,) if isinstance(trust, str | Path) else tuple(trust)
        keys = None if trust is None else trusted_keys([Path(place) for place in places])
        trusted = Trust(keys, require_signature)
    opened = secret_key(Path(key), "encrypt") if isinstance(key, str | Path) else key
    secret = password.encode() if isinstance(password, str) else password
    return Access(trusted, Secrets(secret, opened))


def compile_to_c(
    source: str | Path | Model,
    target: str | Target = "host",
    *,
    name: str | None = None,
    numeric: str = "f32",
    calibrate: ArrayLike | None = None,
    labels: ArrayLike | None = None,
    calibration_method: Method = "minmax",
    max_loss: float | None = None,
    struct: str | None = None,
    optimise: str | None = None,
    budget: Mapping[str, int] | None = None,
    tuned: Records = None,
    tools: str = "auto",
    trust: str | Path | Sequence[str | Path] | Trust | None = None,
    require_signature: bool = False,
    key: str | Path | SecretKey | None = None,
    password: str | bytes | None = None,
) -> Artifact:
    """C for a model and a target (a name, a TOML file or a Target). `aprgen.compile` is this function.

    numeric: "f32", "f32-fast", "bf16", or "s16" or "s8" with rows to calibrate with; labels: what is right for those
    rows, labels [rows] or values [rows, n_outputs]; max_loss: see accuracy.Accuracy.loss.
    optimise: "size", "mean" or "wcet", for the shape of trees and how texts are looked up, or a shape of trees:
        "branches", "packed", "keyed-branches", "float-branches", "mixed", "compact", "calls".
    budget: bytes of "flash", "ram" and "stack", and "cycles" of any call; the code is then the first that fits, of
    other shapes, too, and with numeric "auto" of all modes; BudgetError when none fits. tools: what builds it for that.
    tuned: records of `aprgen tune` that choose strategies for blocks of rows.
    trust, require_signature, key and password: as of `load`, when the source is a file.
    """
    records = load_tuned(Path(tuned)) if isinstance(tuned, str | Path) else tuned
    model = source
    if not isinstance(model, Model):
        model = load(
            model, struct=struct, trust=trust, require_signature=require_signature, key=key, password=password
        )
    elif trust is not None or require_signature or key is not None or password is not None:
        raise UsageError(
            "usage.arguments", "the model is loaded already", where="trust, require_signature, key or password",
            hint="give these to aprgen.load",
        )  # fmt: skip
    chosen = target if isinstance(target, Target) else load_target(target)
    calibration = None
    if calibrate is not None:
        rows = model.inputs(calibrate)
        calibration = Calibration(rows, "calibrate", calibration_method, max_loss, _columns(labels))
    if budget is not None:
        from aprgen.exploration import Subject
        from aprgen.search import require_limits, search

        subject = Subject(model.loaded, chosen, name or model.name, calibration, tools, tuned=records)
        return Artifact(search(subject, require_limits(budget), numeric, optimise).fitting(), model)
    options = core.Options(name or model.name, numeric, calibration, optimise=optimise, tuned=records)
    return Artifact(core.compile_model(model.loaded, chosen, options), model)


def explore(
    source: str | Path | Model,
    target: str | Target = "host",
    *,
    name: str | None = None,
    calibrate: ArrayLike | None = None,
    calibration_method: Method = "minmax",
    struct: str | None = None,
    tools: str = "auto",
) -> Exploration:
    """Every numeric mode and shape, built and measured, as `aprgen explore` does. It needs the target's runner."""
    from aprgen.exploration import Subject
    from aprgen.exploration import explore as explored

    model = source if isinstance(source, Model) else load(source, struct=struct)
    chosen = target if isinstance(target, Target) else load_target(target)
    rows = None if calibrate is None else Calibration(model.inputs(calibrate), "calibrate", calibration_method)
    return explored(Subject(model.loaded, chosen, name or model.name, rows, tools))
