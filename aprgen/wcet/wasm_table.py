"""The closed table of WebAssembly operators that are analysed: version 2.0 without references, tables and bulk memory.

Knows opcodes, what follows them in the binary, how many values they pop and push, and the bytes they move.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

# What follows an opcode: nothing, an index, a constant, alignment and offset, 16 bytes, a lane, a zero byte.
Immediate = Literal["", "index", "i32", "i64", "f32", "f64", "memory", "memory lane", "bytes", "lane", "zero"]
SIMD_PREFIX = 0xFD
SATURATING_PREFIX = 0xFC


@dataclass(frozen=True)
class Row:
    name: str
    pops: int
    pushes: int
    immediate: Immediate = ""
    loaded_bytes: int = 0
    stored_bytes: int = 0


_COMPARED = "eq ne lt_s lt_u gt_s gt_u le_s le_u ge_s ge_u"
_COMPARED_FLOATS = "eq ne lt gt le ge"
_OF_FLOATS = "abs neg ceil floor trunc nearest sqrt"
_TWO_FLOATS = "add sub mul div min max copysign"
_INTEGERS = "add sub mul div_s div_u rem_s rem_u and or xor shl shr_s shr_u rotl rotr"
_LOADS = (
    ("i32.load", 4), ("i64.load", 8), ("f32.load", 4), ("f64.load", 8), ("i32.load8_s", 1), ("i32.load8_u", 1),
    ("i32.load16_s", 2), ("i32.load16_u", 2), ("i64.load8_s", 1), ("i64.load8_u", 1), ("i64.load16_s", 2),
    ("i64.load16_u", 2), ("i64.load32_s", 4), ("i64.load32_u", 4),
)  # fmt: skip
_STORES = (
    ("i32.store", 4), ("i64.store", 8), ("f32.store", 4), ("f64.store", 8), ("i32.store8", 1), ("i32.store16", 2),
    ("i64.store8", 1), ("i64.store16", 2), ("i64.store32", 4),
)  # fmt: skip
_CONVERSIONS = (
    "i32.wrap_i64 i32.trunc_f32_s i32.trunc_f32_u i32.trunc_f64_s i32.trunc_f64_u i64.extend_i32_s i64.extend_i32_u "
    "i64.trunc_f32_s i64.trunc_f32_u i64.trunc_f64_s i64.trunc_f64_u f32.convert_i32_s f32.convert_i32_u "
    "f32.convert_i64_s f32.convert_i64_u f32.demote_f64 f64.convert_i32_s f64.convert_i32_u f64.convert_i64_s "
    "f64.convert_i64_u f64.promote_f32 i32.reinterpret_f32 i64.reinterpret_f64 f32.reinterpret_i32 "
    "f64.reinterpret_i64 i32.extend8_s i32.extend16_s i64.extend8_s i64.extend16_s i64.extend32_s"
)


def _plain() -> Iterator[tuple[int, Row]]:
    """Opcodes of one byte, but for those that structure the flow."""
    yield 0x1A, Row("drop", 1, 0)
    yield 0x1B, Row("select", 3, 1)
    yield 0x20, Row("local.get", 0, 1, "index")
    yield 0x21, Row("local.set", 1, 0, "index")
    yield 0x22, Row("local.tee", 1, 1, "index")
    yield 0x23, Row("global.get", 0, 1, "index")
    yield 0x24, Row("global.set", 1, 0, "index")
    for opcode, (name, size) in enumerate(_LOADS, 0x28):
        yield opcode, Row(name, 1, 1, "memory", loaded_bytes=size)
    for opcode, (name, size) in enumerate(_STORES, 0x36):
        yield opcode, Row(name, 2, 0, "memory", stored_bytes=size)
    yield 0x3F, Row("memory.size", 0, 1, "zero")
    yield 0x41, Row("i32.const", 0, 1, "i32")
    yield 0x42, Row("i64.const", 0, 1, "i64")
    yield 0x43, Row("f32.const", 0, 1, "f32")
    yield 0x44, Row("f64.const", 0, 1, "f64")
    opcode = 0x45
    for kind in ("i32", "i64"):
        yield opcode, Row(f"{kind}.eqz", 1, 1)
        for name in _COMPARED.split():
            opcode += 1
            yield opcode, Row(f"{kind}.{name}", 2, 1)
        opcode += 1
    for kind in ("f32", "f64"):
        for name in _COMPARED_FLOATS.split():
            yield opcode, Row(f"{kind}.{name}", 2, 1)
            opcode += 1
    for kind in ("i32", "i64"):
        for names, pops in (("clz ctz popcnt", 1), (_INTEGERS, 2)):
            for name in names.split():
                yield opcode, Row(f"{kind}.{name}", pops, 1)
                opcode += 1
    for kind in ("f32", "f64"):
        for names, pops in ((_OF_FLOATS, 1), (_TWO_FLOATS, 2)):
            for name in names.split():
                yield opcode, Row(f"{kind}.{name}", pops, 1)
                opcode += 1
    for name in _CONVERSIONS.split():
        yield opcode, Row(name, 1, 1)
        opcode += 1


_VECTOR_LOADS = (
    ("load", 16), ("load8x8_s", 8), ("load8x8_u", 8), ("load16x4_s", 8), ("load16x4_u", 8), ("load32x2_s", 8),
    ("load32x2_u", 8), ("load8_splat", 1), ("load16_splat", 2), ("load32_splat", 4), ("load64_splat", 8),
)  # fmt: skip
_SHAPES = ("i8x16", "i16x8", "i32x4", "i64x2", "f32x4", "f64x2")
_LANES = (
    "i8x16.extract_lane_s i8x16.extract_lane_u i8x16.replace_lane i16x8.extract_lane_s i16x8.extract_lane_u "
    "i16x8.replace_lane i32x4.extract_lane i32x4.replace_lane i64x2.extract_lane i64x2.replace_lane "
    "f32x4.extract_lane f32x4.replace_lane f64x2.extract_lane f64x2.replace_lane"
)
# From 0x60 on, "-" where no operator is; of one value where the last word of the name says so.
_VECTORS = (
    "i8x16.abs i8x16.neg i8x16.popcnt i8x16.all_true i8x16.bitmask i8x16.narrow_i16x8_s i8x16.narrow_i16x8_u "
    "f32x4.ceil f32x4.floor f32x4.trunc f32x4.nearest i8x16.shl i8x16.shr_s i8x16.shr_u i8x16.add i8x16.add_sat_s "
    "i8x16.add_sat_u i8x16.sub i8x16.sub_sat_s i8x16.sub_sat_u f64x2.ceil f64x2.floor i8x16.min_s i8x16.min_u "
    "i8x16.max_s i8x16.max_u f64x2.trunc i8x16.avgr_u i16x8.extadd_pairwise_i8x16_s i16x8.extadd_pairwise_i8x16_u "
    "i32x4.extadd_pairwise_i16x8_s i32x4.extadd_pairwise_i16x8_u "
    "i16x8.abs i16x8.neg i16x8.q15mulr_sat_s i16x8.all_true i16x8.bitmask i16x8.narrow_i32x4_s i16x8.narrow_i32x4_u "
    "i16x8.extend_low_i8x16_s i16x8.extend_high_i8x16_s i16x8.extend_low_i8x16_u i16x8.extend_high_i8x16_u i16x8.shl "
    "i16x8.shr_s i16x8.shr_u i16x8.add i16x8.add_sat_s i16x8.add_sat_u i16x8.sub i16x8.sub_sat_s i16x8.sub_sat_u "
    "f64x2.nearest i16x8.mul i16x8.min_s i16x8.min_u i16x8.max_s i16x8.max_u - i16x8.avgr_u i16x8.extmul_low_i8x16_s "
    "i16x8.extmul_high_i8x16_s i16x8.extmul_low_i8x16_u i16x8.extmul_high_i8x16_u "
    "i32x4.abs i32x4.neg - i32x4.all_true i32x4.bitmask - - i32x4.extend_low_i16x8_s i32x4.extend_high_i16x8_s "
    "i32x4.extend_low_i16x8_u i32x4.extend_high_i16x8_u i32x4.shl i32x4.shr_s i32x4.shr_u i32x4.add - - i32x4.sub - - "
    "- i32x4.mul i32x4.min_s i32x4.min_u i32x4.max_s i32x4.max_u i32x4.dot_i16x8_s - i32x4.extmul_low_i16x8_s "
    "i32x4.extmul_high_i16x8_s i32x4.extmul_low_i16x8_u i32x4.extmul_high_i16x8_u "
    "i64x2.abs i64x2.neg - i64x2.all_true i64x2.bitmask - - i64x2.extend_low_i32x4_s i64x2.extend_high_i32x4_s "
    "i64x2.extend_low_i32x4_u i64x2.extend_high_i32x4_u i64x2.shl i64x2.shr_s i64x2.shr_u i64x2.add - - i64x2.sub - - "
    "- i64x2.mul i64x2.eq i64x2.ne i64x2.lt_s i64x2.gt_s i64x2.le_s i64x2.ge_s i64x2.extmul_low_i32x4_s "
    "i64x2.extmul_high_i32x4_s i64x2.extmul_low_i32x4_u i64x2.extmul_high_i32x4_u "
    "f32x4.abs f32x4.neg - f32x4.sqrt f32x4.add f32x4.sub f32x4.mul f32x4.div f32x4.min f32x4.max f32x4.pmin "
    "f32x4.pmax f64x2.abs f64x2.neg - f64x2.sqrt f64x2.add f64x2.sub f64x2.mul f64x2.div f64x2.min f64x2.max "
    "f64x2.pmin f64x2.pmax i32x4.trunc_sat_f32x4_s i32x4.trunc_sat_f32x4_u f32x4.convert_i32x4_s "
    "f32x4.convert_i32x4_u i32x4.trunc_sat_f64x2_s_zero i32x4.trunc_sat_f64x2_u_zero f64x2.convert_low_i32x4_s "
    "f64x2.convert_low_i32x4_u"
)
_OF_ONE = (
    "abs", "neg", "popcnt", "all_true", "bitmask", "ceil", "floor", "trunc", "nearest", "sqrt", "extend", "extadd",
    "trunc_sat", "convert",
)  # fmt: skip


def _simd() -> Iterator[tuple[int, Row]]:
    """Opcodes behind SIMD_PREFIX."""
    for opcode, (name, size) in enumerate(_VECTOR_LOADS):
        yield opcode, Row(f"v128.{name}", 1, 1, "memory", loaded_bytes=size)
    yield 0x0B, Row("v128.store", 2, 0, "memory", stored_bytes=16)
    yield 0x0C, Row("v128.const", 0, 1, "bytes")
    yield 0x0D, Row("i8x16.shuffle", 2, 1, "bytes")
    yield 0x0E, Row("i8x16.swizzle", 2, 1)
    for opcode, shape in enumerate(_SHAPES, 0x0F):
        yield opcode, Row(f"{shape}.splat", 1, 1)
    for opcode, name in enumerate(_LANES.split(), 0x15):
        yield opcode, Row(name, 2 if "replace" in name else 1, 1, "lane")
    opcode = 0x23
    for shape in ("i8x16", "i16x8", "i32x4", "f32x4", "f64x2"):
        for name in (_COMPARED if shape[0] == "i" else _COMPARED_FLOATS).split():
            yield opcode, Row(f"{shape}.{name}", 2, 1)
            opcode += 1
    for name, pops in (("not", 1), ("and", 2), ("andnot", 2), ("or", 2), ("xor", 2), ("bitselect", 3), ("any_true", 1)):
        yield opcode, Row(f"v128.{name}", pops, 1)
        opcode += 1
    for name, pushes in (("load", 1), ("store", 0)):
        for size in (1, 2, 4, 8):
            moved = (size, 0) if name == "load" else (0, size)
            yield opcode, Row(f"v128.{name}{8 * size}_lane", 2, pushes, "memory lane", *moved)
            opcode += 1
    yield 0x5C, Row("v128.load32_zero", 1, 1, "memory", loaded_bytes=4)
    yield 0x5D, Row("v128.load64_zero", 1, 1, "memory", loaded_bytes=8)
    yield 0x5E, Row("f32x4.demote_f64x2_zero", 1, 1)
    yield 0x5F, Row("f64x2.promote_low_f32x4", 1, 1)
    for opcode, name in enumerate(_VECTORS.split(), 0x60):
        if name != "-":
            yield opcode, Row(name, 1 if name.partition(".")[2].startswith(_OF_ONE) else 2, 1)


def _saturating() -> Iterator[tuple[int, Row]]:
    """Opcodes behind SATURATING_PREFIX."""
    for opcode in range(8):
        to, of, sign = "i64" if opcode & 4 else "i32", "f64" if opcode & 2 else "f32", "u" if opcode & 1 else "s"
        yield opcode, Row(f"{to}.trunc_sat_{of}_{sign}", 1, 1)


PLAIN: Mapping[int, Row] = dict(_plain())
PREFIXED: Mapping[int, Mapping[int, Row]] = {SIMD_PREFIX: dict(_simd()), SATURATING_PREFIX: dict(_saturating())}
