"""The boxes of `aprgen inspect`: file, header, metadata, signature, structure, findings, problems.

Knows what a person looks for in each; every text from the file is made printable here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console

from aprgen.cli.examination import Examination
from aprgen.cli.inspect_facts import (
    creation_date,
    kind_of,
    ratio,
    state_of,
    stored_bytes,
    unpacked_bytes,
)
from aprgen.cli.printable import brief, byte_count, lines_of, shortened, visible
from aprgen.cli.screen import BAD, DIM, GOOD, NEUTRAL, Line, console, print_box, print_table
from aprgen.container import Inspection, Metadata, V2Inspection
from aprgen.container.metadata import DistillationInfo, License, ModelCard, Training
from aprgen.errors import AprgenError
from aprgen.families.base import Fact

MOST_PAIRS = 24  # of a map in the metadata
MOST_TENSORS = 64
MOST_NUMBERS = 24  # of a fact that is a list
MOST_BARS = 64
BARS = "▁▂▃▄▅▆▇█"


def print_boxes(seen: Examination) -> None:
    out = console()
    print_box(out, "file", _file(seen))
    if seen.found.header is not None:
        print_box(out, "header", _header(seen.found))
    _print_metadata(out, seen.found)
    if isinstance(seen.found, Inspection) and seen.found.header is not None:
        print_box(out, "signature", _signature(seen.found))
        if seen.found.header.encrypted:
            print_box(out, "encryption", _encryption(seen.found))
    if isinstance(seen.found, V2Inspection) and seen.found.entries:
        _print_tensors(out, seen.found)
    if seen.found.header is not None:
        print_box(out, "structure", _structure(seen), _structure_style(seen))
    if seen.findings:
        print_box(out, "findings", [Line("-", visible(finding)) for finding in seen.findings], "yellow")
    if seen.problems:
        print_box(out, "problems", [line for problem in seen.problems for line in _problem(problem)], BAD)


def _file(seen: Examination) -> list[Line]:
    lines = [
        Line("path", visible(str(seen.path))),
        Line("kind", kind_of(seen)),
        Line("size", byte_count(seen.data_bytes)),
    ]
    stored, unpacked, factor = stored_bytes(seen), unpacked_bytes(seen), ratio(seen)
    if stored is not None:
        lines.append(Line("payload stored", byte_count(stored)))
    if unpacked is not None:
        lines.append(Line("payload unpacked", byte_count(unpacked)))
    if factor is not None:
        lines.append(Line("ratio", f"{factor:.2f} : 1"))
    lines.append(Line("sha256", seen.sha256, DIM))
    return lines


def _header(found: Inspection | V2Inspection) -> list[Line]:
    lines: list[Line] = []
    if isinstance(found, V2Inspection):
        if found.header is not None:
            head = found.header
            lines += [
                Line("magic", "APR\\0"),
                Line("version", f"{head.major}.{head.minor}"),
                Line("flags", ", ".join(head.flag_names) or "none"),
                Line("tensors", str(head.tensor_count)),
            ]
    elif found.header is not None:
        header = found.header
        suite = header.suite_name if header.suite == 0 else f"{header.suite_name} ({header.suite:#04x})"
        lines += [
            Line("magic", "APRN"),
            Line("version", f"{header.major}.{header.minor}"),
            Line("model type", f"{header.model_type_name} ({header.model_type:#06x})"),
            Line("flags", ", ".join(header.flag_names) or "none"),
            Line("compression", header.compression_name),
            Line("quality", str(header.quality) if header.quality else "not validated"),
            Line("cipher suite", suite),
        ]
    valid = f"{found.crc_actual:#010x}, valid" if found.crc_valid and found.crc_actual is not None else ""
    if found.header is not None and found.crc_actual is None:
        return [*lines, Line("checksum", f"{_word(found.crc_expected)}, not computed", BAD)]
    wrong = f"invalid: the file says {_word(found.crc_expected)}, its bytes give {_word(found.crc_actual)}"
    lines.append(Line("checksum", valid or wrong, GOOD if valid else BAD))
    return lines


def _word(value: int | None) -> str:
    return "nothing" if value is None else f"{value:#010x}"


def _print_metadata(out: Console, found: Inspection | V2Inspection) -> None:
    if found.metadata is None:
        return
    if isinstance(found, V2Inspection):
        stated = {key: value for key, value in found.metadata.items() if value is not None}
        print_box(out, "metadata", _pairs(stated) or [Line("", "empty", DIM)])
        return
    assert found.metadata is not None
    print_box(out, "metadata", _metadata(found.metadata))
    if found.metadata.license is not None:
        print_box(out, "license", _license(found.metadata.license))
    if found.metadata.model_card is not None:
        print_box(out, "model card", _card(found.metadata.model_card))
    if found.metadata.distillation_info is not None:
        print_box(out, "distillation", _distillation(found.metadata.distillation_info))


def _metadata(metadata: Metadata) -> list[Line]:
    lines = _present(("name", metadata.model_name))
    if metadata.description is not None:
        lines.append(Line("description", lines_of(metadata.description)))
    lines += [
        Line("created", _date(metadata.created_at)),
        Line("aprender version", shortened(metadata.aprender_version)),
    ]
    if metadata.training is not None:
        lines.append(Line("training", _training(metadata.training)))
    lines += _group("hyperparameters", metadata.hyperparameters)
    lines += _group("metrics", metadata.metrics)
    lines += _group("custom", metadata.custom)
    lines += _present(("distillation", metadata.distillation))
    return [*lines, *_group("unknown keys", metadata.unknown)]


def _date(created_at: str) -> str:
    date = creation_date(created_at)
    return shortened(created_at) if date is None else f"{date} ({created_at})"


def _training(training: Training) -> str:
    parts = []
    if training.samples is not None:
        parts.append(f"{training.samples:,} samples")
    if training.duration_ms is not None:
        parts.append(f"{training.duration_ms:,} ms")
    if training.source is not None:
        parts.append(f"from {shortened(training.source)}")
    return ", ".join(parts) or "nothing stated"


def _license(given: License) -> list[Line]:
    return _present(
        ("tier", given.tier),
        ("licensee", given.licensee),
        ("seats", given.seats),
        ("expiry", given.expiry),
        ("uuid", given.uuid),
        ("hash", given.hash),
    )


def _card(card: ModelCard) -> list[Line]:
    lines = _present(
        ("id", card.model_id),
        ("name", card.name),
        ("version", card.version),
        ("author", card.author),
    )
    lines.append(Line("created", _date(card.created_at)))
    lines += _present(("framework", card.framework_version), ("rust version", card.rust_version))
    if card.description is not None:
        lines.append(Line("description", lines_of(card.description)))
    lines += _present(("license", card.license), ("architecture", card.architecture), ("parameters", card.param_count))
    if card.training_data is not None:
        data = card.training_data
        samples = "" if data.samples is None else f", {data.samples:,} samples"
        digest = "" if data.hash is None else f", hash {shortened(data.hash)}"
        lines.append(Line("training data", f"{shortened(data.name)}{samples}{digest}"))
    if card.target_hardware:
        names = [shortened(name, 60) for name in card.target_hardware[:MOST_PAIRS]]
        lines.append(Line("target hardware", ", ".join(names)))
    lines += _group("hyperparameters", card.hyperparameters or {})
    lines += _group("metrics", card.metrics or {})
    return [*lines, *_group("more", card.extra)]


def _distillation(info: DistillationInfo) -> list[Line]:
    params, teacher = info.params, info.teacher
    lines = _present(
        ("method", info.method),
        ("teacher", f"{teacher.model_type}, {teacher.param_count:,} parameters"),
        ("teacher hash", teacher.hash),
        ("teacher signature", teacher.signature),
        ("ensemble teachers", None if teacher.ensemble_teachers is None else len(teacher.ensemble_teachers)),
        ("temperature", params.temperature),
        ("alpha", params.alpha),
        ("beta", params.beta),
        ("epochs", params.epochs),
        ("final loss", params.final_loss),
    )
    if info.layer_mapping is not None:
        shown = info.layer_mapping[:MOST_PAIRS]
        pairs = [f"{one.student_layer} from {one.teacher_layer} ({one.weight:g})" for one in shown]
        lines.append(Line("layers", ", ".join(pairs)))
    return lines


def _present(*given: tuple[str, str | int | float | None]) -> list[Line]:
    return [Line(label, brief(value)) for label, value in given if value is not None]


def _group(label: str, values: Mapping[str, object]) -> list[Line]:
    """A map as one line per key, under one label."""
    if not values:
        return []
    texts = [f"{line.label} = {line.value}" for line in _pairs(values)]
    return [Line(label, "\n".join(texts))]


def _pairs(values: Mapping[str, object]) -> list[Line]:
    lines = [Line(shortened(key, 60), brief(values[key])) for key in list(values)[:MOST_PAIRS]]
    if len(values) > MOST_PAIRS:
        lines.append(Line("...", f"{len(values)} keys in all", DIM))
    return lines


def _signature(found: Inspection) -> list[Line]:
    if found.signature is None:
        if found.header is not None and found.header.signed:
            return [Line("state", "the SIGNED flag is set, but the signature is missing", BAD)]
        return [Line("state", "none")]
    verification = found.verification
    style = {"trusted": GOOD, "invalid": BAD, "unknown": BAD}.get(verification.state, "yellow")
    return [
        Line("state", visible(verification.sentence), style),
        Line("suite", verification.suite),
        Line("signer's key", f"sha256 {found.signature.fingerprint}"),
    ]


def _encryption(found: Inspection) -> list[Line]:
    known = found.encryption
    if known is None:
        return [Line("state", "cannot be opened", BAD)]
    lines = [Line("state", "opened" if known.opened else "closed", GOOD if known.opened else "yellow")]
    lines.append(Line("suite", known.suite))
    lines.append(Line("for", known.mode or "a password or a recipient, the file does not say"))
    return [*lines, Line("recipient", known.recipient_id.hex())] if known.recipient_id else lines


def _print_tensors(out: Console, found: V2Inspection) -> None:
    entries = found.entries or ()
    rows = [
        (shortened(entry.name, 80), entry.type.name, " x ".join(map(str, entry.shape)) or "scalar", f"{entry.size:,}")
        for entry in entries[:MOST_TENSORS]
    ]
    if len(entries) > MOST_TENSORS:
        rows.append(("...", "", "", f"{len(entries)} tensors in all"))
    print_table(out, "tensors", ("name", "type", "shape", "bytes"), rows, right=("bytes",))


def _structure_style(seen: Examination) -> str:
    return {"decoded": NEUTRAL, "encrypted": "yellow", "unknown": "yellow"}.get(state_of(seen), BAD)


def _structure(seen: Examination) -> list[Line]:
    model = seen.model
    if model is None:
        reason = seen.decode_problem or next(iter(seen.problems), None)
        lines = [Line("state", state_of(seen))]
        return lines if reason is None else [*lines, Line("", visible(reason.what))]
    lines = [Line("family", visible(model.family)), Line("struct", visible(model.struct))]
    if len(seen.candidates) > 1:
        lines.append(Line("fits also", ", ".join(visible(name) for name in seen.candidates[1:])))
    lines += [Line(shortened(fact.label, 28), _value(fact)) for fact in model.facts()]
    if seen.model_problem is not None:
        lines.append(Line("compiles", f"no: {visible(seen.model_problem.what)}", "yellow"))
    elif seen.problems:
        lines.append(Line("compiles", "no: see the problems", BAD))
    else:
        lines.append(Line("compiles", "yes", GOOD))
    return lines


def _value(fact: Fact) -> str:
    value = fact.value
    if not isinstance(value, tuple):
        return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else brief(value)
    shown = ", ".join(brief(item) for item in value[:MOST_NUMBERS])
    more = f", ... ({len(value)} in all)" if len(value) > MOST_NUMBERS else ""
    counts = [item for item in value if isinstance(item, int)]
    is_histogram = "per feature" in fact.label and len(counts) == len(value) <= MOST_BARS
    bars = f"  {_bars(counts)}" if is_histogram else ""
    return f"{shown}{more}{bars}" or "none"


def _bars(counts: Sequence[int]) -> str:
    """One column per number, as high as its share of the largest."""
    largest = max(counts, default=0)
    if largest <= 0:
        return ""
    return "".join(" " if count <= 0 else BARS[(len(BARS) - 1) * count // largest] for count in counts)


def _problem(problem: AprgenError) -> list[Line]:
    return [
        Line("what", f"{visible(problem.what)} [{problem.code}]", BAD),
        Line("where", visible(problem.where)),
        Line("to do", visible(problem.hint)),
    ]
