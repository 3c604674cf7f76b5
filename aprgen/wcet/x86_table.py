"""The closed table of x86-64 instructions that are analysed: what each does with its operands and with the flags.

Knows mnemonics as capstone spells them, in Intel syntax. Instructions that repeat, lock, gather, scatter, enter the
kernel or move the stack by a register are left out, so that code with one of them is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

# first: the first operand is a result, the others are operands; both: the first is result and operand;
# swap: the first two are; none: all are operands; idle: no operand is touched; wide: rax and rdx hold half of it
Shape = Literal["first", "both", "swap", "none", "idle", "wide"]
# What it does with the flags, and with nothing else of the processor's state.
Flags = Literal["", "reads", "writes", "uses"]  # uses: reads and writes

CONDITIONS = (
    "o", "no", "b", "ae", "e", "ne", "be", "a", "s", "ns", "p", "np", "l", "ge", "le", "g",
)  # fmt: skip
_PACKED = ("ps", "pd")
_SCALAR = ("ss", "sd")
_ALL = (*_PACKED, *_SCALAR)
_COMPARISONS = (
    "eq", "lt", "le", "unord", "neq", "nlt", "nle", "ord", "eq_uq", "nge", "ngt", "false", "neq_oq", "ge", "gt",
    "true", "eq_os", "lt_oq", "le_oq", "unord_s", "neq_us", "nlt_uq", "nle_uq", "ord_s", "eq_us", "nge_uq", "ngt_uq",
    "false_os", "neq_os", "ge_oq", "gt_oq", "true_us",
)  # fmt: skip
_OF_CODES = ("eq", "lt", "le", "neq", "nlt", "nle")
_WIDTHS = ("b", "w", "d", "q")


def _each(stems: Iterable[str], suffixes: Iterable[str]) -> tuple[str, ...]:
    ends = tuple(suffixes)
    return tuple(stem + end for stem in stems for end in ends)


def _vex(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(f"v{name}" for name in names)


# Two operands in their SSE form, where the first is also an operand; three as AVX, where it is not.
_ARITHMETIC = (
    *_each(("add", "sub", "mul", "div", "min", "max"), _ALL),
    *_each(("and", "andn", "or", "xor", "unpckl", "unpckh", "shuf", "hadd", "hsub", "addsub", "blend"), _PACKED),
    *_each(tuple(f"cmp{one}" for one in _COMPARISONS), _ALL),
    *_each(("cmp",), _PACKED),  # not cmpsd, which is also a comparison of strings
    "cmpss", "insertps", "roundss", "roundsd", "cvtss2sd", "cvtsd2ss", "cvtsi2ss", "cvtsi2sd",
    *_each(("padd", "psub", "pcmpeq", "pcmpgt"), _WIDTHS),
    *_each(("pmins", "pmaxs"), ("b", "w", "d")), *_each(("pminu", "pmaxu"), ("b", "w", "d")),
    *_each(("padds", "psubs", "paddus", "psubus"), ("b", "w")),
    *_each(("psll", "psrl"), ("w", "d", "q", "dq")), *_each(("psra",), ("w", "d")),
    *_each(("punpckl", "punpckh"), ("bw", "wd", "dq", "qdq")),
    *_each(("psign",), ("b", "w", "d")), *_each(("pinsr",), ("b", "w", "d", "q")),
    "pand", "pandn", "por", "pxor", "pmullw", "pmulld", "pmulhw", "pmulhuw", "pmulhrsw", "pmuludq", "pmuldq",
    "pmaddwd", "pmaddubsw", "pavgb", "pavgw", "psadbw", "pshufb", "palignr", "packsswb", "packssdw", "packuswb",
    "packusdw", "pblendw", "phaddw", "phaddd", "movhlps", "movlhps", "dpps",
)  # fmt: skip
# The first operand is only a result, in both forms.
_ONE_WAY = (
    *_each(("movap", "movup"), ("s", "d")), "movd", "movq", "movdqa", "movdqu", "lddqu",
    *_each(("sqrt",), _PACKED), *_each(("round",), _PACKED), *_each(("rcp", "rsqrt"), ("ps",)),
    "movmskps", "movmskpd", "pmovmskb", "movshdup", "movsldup", "movddup", "pshufd", "pshuflw", "pshufhw",
    "cvtss2si", "cvttss2si", "cvtsd2si", "cvttsd2si", "cvtdq2ps", "cvtps2dq", "cvttps2dq", "cvtdq2pd", "cvtpd2dq",
    "cvttpd2dq", "cvtps2pd", "cvtpd2ps", "pabsb", "pabsw", "pabsd", *_each(("pextr",), _WIDTHS), "extractps",
    *_each(("pmovsx", "pmovzx"), ("bw", "bd", "bq", "wd", "wq", "dq")),
)  # fmt: skip
_OF_AVX = (
    *_each(("broadcasts",), ("s", "d")), *_each(("pbroadcast",), _WIDTHS), "broadcastf128", "broadcasti128",
    "insertf128", "inserti128", "extractf128", "extracti128", "perm2f128", "perm2i128", "permps", "permpd", "permd",
    "permq", "permilps", "permilpd", "blendvps", "blendvpd", "pblendvb", "pblendd", "psravd", *_each(("psllv", "psrlv"),
    ("d", "q")), "zeroupper", "zeroall", "sqrtss", "sqrtsd", "cvtsi2ss", "cvtsi2sd", "cvtph2ps", "cvtps2ph",
    "maskmovps", "maskmovpd",
    "cmpsd",  # as AVX it has only one meaning
)  # fmt: skip
_OF_AVX512 = (
    *_each(("movdqa", "movdqu"), ("32", "64")), "movdqu8", "movdqu16", "pmullq", "psraq", "psravq", "pabsq",
    "pandd", "pandq", "pandnd", "pandnq", "pord", "porq", "pxord", "pxorq", "pternlogd", "pternlogq",
    *_each(("pmins", "pmaxs", "pminu", "pmaxu"), ("q",)),
    *_each(("extractf", "extracti", "insertf", "inserti"), ("32x4", "64x2", "64x4", "32x8")),
    *_each(("broadcastf", "broadcasti"), ("32x2", "32x4", "64x2", "64x4", "32x8")),
    *_each(("pblendm",), _WIDTHS), *_each(("blendm",), _PACKED), *_each(("perm",), ("w", "b")),
    *_each(("shuff", "shufi"), ("32x4", "64x2")), *_each(("permt2", "permi2"), (*_PACKED, *_WIDTHS)),
    *_each(("range", "rndscale"), _ALL), "cvtudq2ps", "cvtps2udq", "cvttps2udq", "cvtusi2ss", "cvtusi2sd",
    *_each(("pmovm2",), _WIDTHS), *(f"pmov{width}2m" for width in _WIDTHS),
    *_each(("pmov",), ("db", "dw", "qb", "qw", "qd", "wb", "sdb", "sdw", "usdb", "usdw", "swb", "uswb")),
)  # fmt: skip
_DOTS = ("pdpbusd", "pdpwssd", "dpbf16ps", "cvtneps2bf16")
_FUSED = _each(("fmadd", "fmsub", "fnmadd", "fnmsub"), _each(("132", "213", "231"), _ALL))

_ROWS: tuple[tuple[Shape, Flags, tuple[str, ...]], ...] = (
    ("first", "", ("mov", "movabs", "movzx", "movsx", "movsxd", "lea")),
    ("first", "", ("rorx", "sarx", "shlx", "shrx", "pdep", "pext")),
    ("first", "reads", tuple(f"set{one}" for one in CONDITIONS)),
    ("both", "reads", tuple(f"cmov{one}" for one in CONDITIONS)),
    ("both", "", ("not", "bswap")),
    ("swap", "", ("xchg",)),
    ("idle", "", ("nop", "endbr64")),
    ("wide", "", ("cdq", "cqo", "cwde", "cdqe")),
    ("wide", "writes", ("mul", "div", "idiv")),  # and imul of one operand
    ("both", "writes", ("add", "sub", "and", "or", "xor", "neg", "inc", "dec", "imul")),
    ("both", "writes", ("shl", "sal", "shr", "sar", "rol", "ror", "shld", "shrd", "bts", "btr", "btc")),
    ("both", "uses", ("adc", "sbb")),
    ("first", "writes", ("lzcnt", "tzcnt", "popcnt", "andn", "bextr", "blsi", "blsr", "blsmsk", "bzhi")),
    ("both", "writes", ("bsr", "bsf")),  # of zero they leave the result as it was
    ("none", "writes", ("cmp", "test", "bt", "ptest", "vptest", "vtestps", "vtestpd")),
    ("none", "writes", (*_each(("comi", "ucomi"), _SCALAR), *_vex(_each(("comi", "ucomi"), _SCALAR)))),
    ("none", "writes", _each(("kortest", "ktest"), _WIDTHS)),
    ("both", "", (*_ARITHMETIC, "blendvps", "blendvpd", "pblendvb")),
    ("both", "", ("movss", "movsd", "movlps", "movhps", "movlpd", "movhpd", "sqrtss", "sqrtsd")),
    ("first", "", _ONE_WAY),
    ("both", "", _vex((*_ARITHMETIC, *_ONE_WAY, *_OF_AVX, *_OF_AVX512, *_DOTS, *_FUSED))),  # both, as a mask may merge
    ("both", "", _vex(("movss", "movsd", "movlps", "movhps", "movlpd", "movhpd"))),
    ("both", "", _vex(("valignd", "valignq"))),
    ("both", "", _vex(_each(tuple(f"pcmp{one}" for one in ("", "u")), _WIDTHS))),
    ("both", "", _vex(_each(tuple(f"pcmp{one}{sign}" for one in _OF_CODES for sign in ("", "u")), _WIDTHS))),
    ("first", "", _each(("kmov", "knot"), _WIDTHS)),
    ("both", "", _each(("kand", "kandn", "kor", "kxor", "kxnor", "kshiftl", "kshiftr"), _WIDTHS)),
)

TABLE: Mapping[str, tuple[Shape, Flags]] = {name: (shape, flags) for shape, flags, names in _ROWS for name in names}

# Results that go to memory are written only, although as registers they keep what is not written.
MOVES = frozenset((
    *("movss", "movsd", "movlps", "movhps", "movlpd", "movhpd"), *_ONE_WAY, *_OF_AVX, *_OF_AVX512,
    *_vex(("movss", "movsd", "movlps", "movhps", "movlpd", "movhpd", *_ONE_WAY, *_OF_AVX, *_OF_AVX512)),
))  # fmt: skip
