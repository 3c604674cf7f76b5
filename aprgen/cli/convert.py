"""`aprgen convert`: writes a model's file with its payload in another form, and says what became of it."""

from __future__ import annotations

from typing import cast

from aprgen.cli.artifact import loaded_from
from aprgen.cli.printable import byte_count, visible
from aprgen.cli.report import print_json
from aprgen.cli.requests import Convert
from aprgen.container import AprFile
from aprgen.loaded import Loaded, load_model
from aprgen.native import read_native
from aprgen.output_folder import write_file
from aprgen.payload_form import Form, in_form

LABEL = 10  # columns


def convert_command(request: Convert) -> int:
    """The new file is read again before it is written: what this command writes, this version opens.

    A native file that an older version made may compute otherwise than this one; its original is given back all the
    same.
    """
    loaded = loaded_from(
        request.model, request.struct, request.opening, record_only=request.form == "bincode"
    )  # fmt: skip
    data = in_form(loaded, cast(Form, request.form), keep_record=request.keep_record)
    made = load_model(data)
    write_file(request.out, data)
    if request.format == "json":
        print_json({"path": str(request.out), **_facts(loaded, made, len(data))})
    else:
        print(f"{visible(str(request.out))}: {visible(loaded.model.family)} ({visible(loaded.model.struct)})")
        for label, value in _facts(loaded, made, len(data)).items():
            text = byte_count(value) if isinstance(value, int) and not isinstance(value, bool) else str(value)
            print(f"  {label.replace('_', ' '):<{LABEL}}  {text}")
    return 0


def _facts(loaded: Loaded, made: Loaded, n_bytes: int) -> dict[str, object]:
    assert isinstance(made.container, AprFile)
    facts: dict[str, object] = {"file": n_bytes, "payload": len(made.container.payload)}
    if made.container.header.native:
        facts["workspace"] = read_native(made.container.payload).workspace_bytes
        facts["record"] = "not kept" if made.record is None else len(made.record)
    if isinstance(loaded.container, AprFile) and loaded.container.signature is not None:
        facts["signature"] = "not carried over: it signs the other bytes"
    return facts
