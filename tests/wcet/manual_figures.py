"""What the manuals and measurements say of single instructions: written down from them once more, by hand.

Each line: assembly, the cycles that it takes alone at least and at most, and where that stands. A jump leads to `0:`
behind the line and counts as taken, with the refill of the pipeline.
"""

from __future__ import annotations

Figure = tuple[str, int, int, str]

# Cortex-M0+ Technical Reference Manual DDI 0484, table 3-1; the single-cycle port makes loads and stores one cycle.
M0PLUS: tuple[Figure, ...] = (
    ("adds r0, r1, r2", 1, 1, "ADDS 1"),
    ("lsls r0, r1, #3", 1, 1, "LSLS 1"),
    (".inst.n 0xbf00", 1, 1, "NOP 1"),
    ("muls r0, r1, r0", 1, 32, "MULS 1 or 32, as the chip's maker chose"),
    ("ldr r0, [r1]", 1, 2, "LDR 2, or 1 from the single-cycle port"),
    ("ldrb r0, [r1, r2]", 1, 2, "LDRB 2, or 1 from the single-cycle port"),
    ("str r0, [r1]", 1, 2, "STR 2, or 1 to the single-cycle port"),
    ("ldmia r0!, {r1, r2, r3}", 4, 4, "LDM 1 + N"),
    ("stmia r0!, {r1, r2, r3}", 4, 4, "STM 1 + N"),
    ("push {r4, r5, lr}", 4, 4, "PUSH 1 + N"),
    ("pop {r4, r5}", 3, 3, "POP 1 + N"),
    ("pop {r4, pc}", 5, 5, "POP with PC 3 + N"),
    ("b 0f", 2, 2, "B 2"),
    ("bne 0f", 2, 2, "Bcc 2 when taken"),
    ("bl f", 3, 3, "BL 3"),
    ("bx lr", 2, 2, "BX 2"),
)

# Cortex-M3 Technical Reference Manual DDI 0337, table 3-1: P, the refill, is 1 to 3. Loads 2, or 1 when pipelined
# behind another; stores 1, or 2 with a register offset or when the write buffer is full.
_V7M: tuple[Figure, ...] = (
    ("add.w r0, r1, r2, lsl #2", 1, 1, "ADD 1"),
    ("ubfx r0, r1, #3, #4", 1, 1, "UBFX 1"),
    ("nop", 1, 1, "NOP 1"),
    ("mul r0, r1, r2", 1, 1, "MUL 1"),
    ("sdiv r0, r1, r2", 2, 12, "SDIV 2 to 12"),
    ("udiv r0, r1, r2", 2, 12, "UDIV 2 to 12"),
    ("ldr r0, [r1]", 1, 2, "LDR 2, pipelined 1"),
    ("ldrsh r0, [r1, #6]", 1, 2, "LDRSH 2, pipelined 1"),
    ("str r0, [r1, r2]", 1, 2, "STR 2, pipelined 1"),
    ("ldrd r0, r1, [r2]", 2, 3, "LDRD 1 + N"),
    ("strd r0, r1, [r2]", 2, 3, "STRD 1 + N"),
    ("ldmia r0!, {r1, r2, r3}", 3, 4, "LDM 1 + N"),
    ("stmia r0!, {r1, r2, r3}", 3, 4, "STM 1 + N"),
    ("push {r4, r5, lr}", 3, 4, "PUSH 1 + N"),
    ("pop {r4, r5}", 2, 3, "POP 1 + N"),
    ("pop {r4, pc}", 3, 6, "POP with PC 1 + N + P"),
    ("b 0f", 2, 4, "B 1 + P"),
    ("bne 0f", 2, 4, "Bcc 1 + P when taken"),
    ("cbz r0, 0f", 2, 4, "CBZ 1 + P when taken"),
    ("bl f", 2, 4, "BL 1 + P"),
    ("bx lr", 2, 4, "BX 1 + P"),
    ("it eq\nmoveq r0, r1", 1, 2, "IT 1, or 0 when folded; the member 1"),
)
M3: tuple[Figure, ...] = (
    *_V7M,
    ("mla r0, r1, r2, r3", 2, 2, "MLA 2"),
    ("mls r0, r1, r2, r3", 2, 2, "MLS 2"),
    ("umull r0, r1, r2, r3", 3, 5, "UMULL 3 to 5"),
    ("smlal r0, r1, r2, r3", 4, 7, "SMLAL 4 to 7"),
)

# Cortex-M4 Technical Reference Manual DDI 0439, tables 3-1 and 7-1.
M4: tuple[Figure, ...] = (
    *_V7M,
    ("mla r0, r1, r2, r3", 1, 1, "MLA 1"),
    ("smlabb r0, r1, r2, r3", 1, 1, "SMLABB 1"),
    ("umull r0, r1, r2, r3", 1, 1, "UMULL 1"),
    ("smlal r0, r1, r2, r3", 1, 1, "SMLAL 1"),
    ("vadd.f32 s0, s1, s2", 1, 1, "VADD 1"),
    ("vmul.f32 s0, s1, s2", 1, 1, "VMUL 1"),
    ("vmla.f32 s0, s1, s2", 3, 3, "VMLA 3"),
    ("vfma.f32 s0, s1, s2", 3, 3, "VFMA 3"),
    ("vdiv.f32 s0, s1, s2", 1, 14, "VDIV 14; other code may overlap it"),
    ("vsqrt.f32 s0, s1", 1, 14, "VSQRT 14; other code may overlap it"),
    ("vcmp.f32 s0, s1", 1, 1, "VCMP 1"),
    ("vcvt.s32.f32 s0, s1", 1, 1, "VCVT 1"),
    ("vmov.f32 s0, s1", 1, 1, "VMOV 1"),
    ("vneg.f32 s0, s1", 1, 1, "VNEG 1"),
    ("vmov s0, r1", 1, 2, "VMOV from a core register: 1 in DDI 0439, 2 in TI SWCU192"),
    ("vmrs apsr_nzcv, fpscr", 1, 1, "VMRS 1"),
    ("vldr s0, [r1]", 1, 2, "VLDR 2, pipelined 1"),
    ("vstr s0, [r1]", 1, 2, "VSTR 2, pipelined 1"),
    ("vldr d0, [r1]", 2, 3, "VLDR.64 3, pipelined 2"),
    ("vstr d0, [r1]", 2, 3, "VSTR.64 3, pipelined 2"),
    ("vldmia r0!, {s0-s4}", 5, 6, "VLDM 1 + N"),
    ("vstmia r0!, {s0-s4}", 5, 6, "VSTM 1 + N"),
    ("vpush {s16-s19}", 4, 5, "VPUSH 1 + N"),
    ("vpop {s16-s19}", 4, 5, "VPOP 1 + N"),
)

# Cortex-M33: Arm publishes no table. jnk0le/random measured RP2350; "assumed" is nobody's measurement.
M33: tuple[Figure, ...] = (
    ("add.w r0, r1, r2, lsl #2", 0, 2, "1, a shifted operand's result a cycle later; 16-bit pairs issue together"),
    ("nop", 0, 1, "1, or with its neighbour"),
    ("mul r0, r1, r2", 1, 2, "MULS 2"),
    ("mla r0, r1, r2, r3", 1, 2, "1, result a cycle later"),
    ("umull r0, r1, r2, r3", 1, 3, "1 to 2, one more assumed"),
    ("smlal r0, r1, r2, r3", 1, 3, "1 to 2, one more assumed"),
    ("ldr r0, [r1]", 0, 2, "1, result a cycle later"),
    ("str r0, [r1]", 0, 1, "1"),
    ("ldrd r0, r1, [r2]", 2, 3, "2, result a cycle later"),
    ("strd r0, r1, [r2]", 2, 2, "2"),
    ("ldmia r0!, {r1, r2, r3}", 3, 4, "N, last result a cycle later"),
    ("stmia r0!, {r1, r2, r3}", 3, 3, "N"),
    ("push {r4, r5, lr}", 3, 3, "N"),
    ("pop {r4, r5}", 2, 3, "N, last result a cycle later"),
    ("pop {r4, pc}", 3, 5, "N and the refill"),
    ("b 0f", 1, 3, "2 taken, one more assumed"),
    ("bne 0f", 1, 3, "2 taken, one more assumed"),
    ("bl f", 1, 3, "assumed as a branch"),
    ("bx lr", 1, 3, "assumed as a branch"),
    ("it eq\nmoveq r0, r1", 0, 3, "0 or 1, with its predecessor"),
    ("vadd.f32 s0, s1, s2", 1, 2, "1, result a cycle later"),
    ("vmul.f32 s0, s1, s2", 1, 2, "1, result a cycle later"),
    ("vfma.f32 s0, s1, s2", 1, 4, "result after 3, one more assumed"),
    ("vcmp.f32 s0, s1", 1, 2, "1, result a cycle later"),
    ("vcvt.s32.f32 s0, s1", 1, 2, "1, result a cycle later"),
    ("vmov.f32 s0, s1", 1, 2, "1, result a cycle later"),
    ("vmov s0, r1", 1, 2, "1, result a cycle later"),
    ("vmrs apsr_nzcv, fpscr", 1, 2, "1, result a cycle later"),
    ("vseleq.f32 s0, s1, s2", 1, 2, "assumed as a move"),
    ("vldr s0, [r1]", 1, 3, "assumed: 2 and the result a cycle later"),
    ("vstr s0, [r1]", 1, 2, "assumed: 2"),
    ("vldr d0, [r1]", 2, 4, "assumed: 3 and the result a cycle later"),
    ("vstr d0, [r1]", 2, 3, "assumed: 3"),
    ("vldmia r0!, {s0-s4}", 5, 7, "assumed: 1 + N and the last result a cycle later"),
    ("vstmia r0!, {s0-s4}", 5, 6, "assumed: 1 + N"),
    ("vpush {s16-s19}", 4, 5, "assumed: 1 + N"),
    ("vpop {s16-s19}", 4, 6, "assumed: 1 + N and the last result a cycle later"),
)

FIGURES = {"cortex-m0plus": M0PLUS, "cortex-m3": M3, "cortex-m4": M4, "cortex-m33": M33}

# Two instructions after one another, the second of which may lose cycles to the first, and how many it may.
PAIRS: dict[str, tuple[tuple[str, int, str], ...]] = {
    "cortex-m0plus": (("adds r1, r2, r3\nldr r0, [r1]", 0, "no stall pairs are listed"),),
    "cortex-m3": (
        ("adds r1, r2, r3\nldr r0, [r1]", 1, "an address from the instruction just before"),
        ("adds r1, r2, r3\nstr r0, [r1]", 1, "an address from the instruction just before"),
        ("ldr r1, [r2]\nldr r0, [r1]", 0, "a loaded address is forwarded"),
        ("adds r1, r2, r3\nstr r1, [r4]", 0, "a stored value is forwarded"),
    ),
    "cortex-m4": (
        ("adds r1, r2, r3\nldr r0, [r1]", 1, "an address from the instruction just before"),
        ("ldr r1, [r2]\nldr r0, [r1]", 0, "a loaded address is forwarded"),
        ("vmul.f32 s0, s1, s2\nvadd.f32 s3, s0, s4", 1, "a floating-point result used at once"),
        ("vmul.f32 s0, s1, s2\nvadd.f32 s3, s5, s4", 0, "another's result"),
    ),
    "cortex-m33": (("adds r1, r2, r3\nldr r0, [r1]", 1, "assumed as on Cortex-M4"),),
}
