"""Native payloads for several tests: of fixtures and Programs, and with one field of one structure changed."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

from aprgen.container import write_v1
from aprgen.container.metadata import Metadata
from aprgen.native import Names, write_native
from aprgen.native.structures import ELEMENTS, HEAD, SECTION
from aprgen.payload_form import in_form
from aprgen.program import Array, Program
from tests.examples import loaded

NAMES = Names("Test", "test model", "numbers")

Edit = Callable[[Array], None]


@functools.cache
def native_file(name: str, *, keep_record: bool = True) -> bytes:
    """A fixture in native form."""
    return in_form(loaded(name), "native", keep_record=keep_record)


@functools.cache
def native_payload(name: str) -> bytes:
    """Its payload, without the record: what a device needs."""
    return write_native(loaded(name).model.lower(), NAMES)


def in_file(payload: bytes, method: int = 0) -> bytes:
    """A sound file around a native payload, which may be anything; method: how it is compressed."""
    return write_v1(0x00FF, payload, Metadata("1", "0.26.3"), method=method, native=True)


def program_file(program: Program) -> bytes:
    return in_file(write_native(program, NAMES))


def head_changed(payload: bytes, edit: Edit) -> bytes:
    head = np.frombuffer(payload, HEAD, 1).copy()
    edit(head[0])
    return head.tobytes() + payload[HEAD.itemsize :]


def entry_changed(payload: bytes, section: int, edit: Edit) -> bytes:
    """One entry of the section table."""
    at = HEAD.itemsize + section * SECTION.itemsize
    entry = np.frombuffer(payload, SECTION, 1, at).copy()
    edit(entry[0])
    return payload[:at] + entry.tobytes() + payload[at + SECTION.itemsize :]


def data_changed(payload: bytes, section: int, edit: Edit) -> bytes:
    """The elements of one section."""
    entry = np.frombuffer(payload, SECTION, section + 1, HEAD.itemsize)[section]
    at = int(entry["offset"])
    data = np.frombuffer(payload, ELEMENTS[int(entry["element"])], int(entry["count"]), at).copy()
    edit(data)
    return payload[:at] + data.tobytes() + payload[at + data.nbytes :]


def sections(payload: bytes) -> Array:
    head = np.frombuffer(payload, HEAD, 1)[0]
    return np.frombuffer(payload, SECTION, int(head["n_sections"]), HEAD.itemsize)


def section_of(payload: bytes, kind: int) -> int:
    """The first section of a kind."""
    return int(np.flatnonzero(sections(payload)["kind"] == kind)[0])
