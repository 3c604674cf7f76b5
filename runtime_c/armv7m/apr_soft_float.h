/* Single precision arithmetic for Armv7-M cores without floating point unit (Cortex-M3): the routines of the run-time
 * ABI that compilers call for +, -, *, / and comparisons of floats, in place of their library's.
 *
 * Bit for bit IEEE 754: to nearest even, with subnormals, infinities and signed zeros; every NaN that comes out is
 * 0x7FFFFFFF. No loops, and the same instructions whatever the operands are; only where an operand is infinite or NaN
 * or the result is no normal number, others follow, hardly more. Checked by accuracy/soft_float.c; the cycles by
 * benchmarks/soft_float.py.
 *
 * Assembly, because C does not say which instructions run. The symbols are weak, and each routine is a COMDAT group:
 * several models in one program share a copy, --gc-sections drops unused ones, a program's own definition wins.
 *
 * Registers: r0 and r1 hold the operands, then their mantissas; r2, r3 and r12 may be overwritten; the stack is not
 * used. Two idioms return. After `cmp exponent, #1` carry says that the operand is normal: `rrx` makes it the leading
 * bit, and `sbc` takes 1 for the exponent of a subnormal. To round, `lsrs` makes the last bit carry, `sbcs` with the
 * half makes carry the rounding to nearest even, `adc` adds it: into the exponent, too, up to infinity. */
#ifndef APR_SOFT_FLOAT_H
#define APR_SOFT_FLOAT_H

#if defined(__thumb__) /* compiled for the machine at hand, to try the model out, the C uses that one's operators */

#define APR_SOFT_SECTION(name)                                                                      \
    ".pushsection .text." name ",\"axG\",%progbits," name ",comdat\n.syntax unified\n.thumb\n.balign 4\n"
#define APR_SOFT_ENTRY(name) ".weak " name "\n.type " name ",%function\n.thumb_func\n" name ":\n"
#define APR_SOFT_END(name) ".size " name ", . - " name "\n.popsection\n"

/* a - b and a + b. x is the operand of larger magnitude, y the other. The mantissas are added with their leading bit
 * in bit 30, so seven bits lie below the last one; what y loses when it is shifted sets the lowest of them. */
__asm__(
    APR_SOFT_SECTION("__aeabi_fadd")
    APR_SOFT_ENTRY("__aeabi_fsub")
    "eor r1, r1, #0x80000000\n"
    APR_SOFT_ENTRY("__aeabi_fadd")
    "lsls r2, r0, #1\n"
    "cmp.w r2, r1, lsl #1\n"
    "ittt lo\n"
    "movlo r12, r0\n"
    "movlo r0, r1\n"                         /* r0: x, r1: y */
    "movlo r1, r12\n"
    "lsrs r2, r0, #23\n"                     /* sign and exponent of x */
    "uxtb r3, r2\n"
    "cmp r3, #255\n"
    "beq 4f\n"
    "cbz r3, 5f\n"
    "eor.w r12, r0, r1\n"                    /* bit 31: the signs differ */
    "lsls r0, r0, #8\n"
    "bfi r12, r2, #0, #9\n"                  /* below: sign and exponent of x */
    "lsls r1, r1, #1\n"
    "orr r0, r0, #0x80000000\n"
    "cmp.w r1, #0x01000000\n"
    "sbc.w r3, r3, r1, lsr #24\n"
    "lsl.w r1, r1, #8\n"
    "rrx r1, r1\n"
    "adds r3, r3, #1\n"                      /* difference of the exponents, plus 1 */
    "rsb.w r2, r3, #32\n"
    "lsls.w r2, r1, r2\n"
    "lsr.w r1, r1, r3\n"
    "it ne\n"
    "orrne r1, r1, #1\n"
    "eor.w r1, r1, r12, asr #31\n"
    "add.w r1, r1, r12, lsr #31\n"           /* negated where the signs differ */
    "adds.w r0, r1, r0, lsr #1\n"
    "beq 1f\n"                               /* x = -y: +0 */
    "clz r3, r0\n"
    "uxtb.w r1, r12\n"
    "lsls r0, r0, r3\n"
    "subs r1, r1, r3\n"
    "cmp r1, #254\n"
    "bhs 6f\n"
    "sub.w r12, r12, r3\n"
    "lsls r1, r0, #24\n"
    "lsl.w r2, r12, #23\n"                   /* sign and exponent, less the leading bit */
    "lsrs r3, r0, #9\n"
    "sbcs r1, r1, #0x80000000\n"
    "adc.w r0, r2, r0, lsr #8\n"
    "1:\n"
    "bx lr\n"
    "4:\n"
    "lsls r2, r0, #9\n"                      /* x is infinite or NaN */
    "bne 2f\n"
    "eor.w r1, r1, r0\n"
    "cmp.w r1, #0x80000000\n"
    "beq 2f\n"
    "bx lr\n"
    "2:\n"
    "mvn r0, #0x80000000\n"
    "bx lr\n"
    "5:\n"
    "bic r2, r1, #0x80000000\n"              /* x is subnormal or 0, so y is, too */
    "teq r0, r1\n"
    "bmi 3f\n"
    "adds r0, r0, r2\n"
    "bx lr\n"
    "3:\n"
    "subs r0, r0, r2\n"
    "lsls r2, r0, #1\n"
    "it eq\n"
    "moveq r0, r2\n"
    "bx lr\n"
    ".balign 4\n"
    "6:\n"
    "lsl.w r2, r12, #23\n"                   /* out of range: infinite, or subnormal and exact */
    "rsb.w r3, r1, #8\n"
    "and r2, r2, #0x80000000\n"
    "lsr.w r0, r0, r3\n"
    "cmp r1, #0\n"
    "ite ge\n"
    "orrge r0, r2, #0x7F800000\n"
    "orrlt r0, r2, r0\n"
    "bx lr\n"
    APR_SOFT_END("__aeabi_fadd"));

/* a * b. The mantissas begin at bit 31 (that of a subnormal later); the product is shifted until it does, too. */
__asm__(
    APR_SOFT_SECTION("__aeabi_fmul")
    APR_SOFT_ENTRY("__aeabi_fmul")
    "eor.w r12, r0, r1\n"
    "ubfx r2, r0, #23, #8\n"
    "ubfx r3, r1, #23, #8\n"
    "and r12, r12, #0x80000000\n"
    "cmp r2, #255\n"
    "it ne\n"
    "cmpne r3, #255\n"
    "beq 4f\n"
    "lsls r0, r0, #9\n"
    "lsls r1, r1, #9\n"
    "cmp r2, #1\n"
    "rrx r0, r0\n"
    "sbc.w r12, r12, r2\n"
    "cmp r3, #1\n"
    "rrx r1, r1\n"
    "sbc.w r12, r12, r3\n"                   /* sign, less both exponents */
    "umull r0, r1, r0, r1\n"
    "clz r3, r1\n"
    "add.w r12, r12, r3\n"
    "rsb.w r2, r3, #32\n"
    "lsls r1, r1, r3\n"
    "lsr.w r2, r0, r2\n"
    "lsls r0, r0, r3\n"
    "orrs r1, r1, r2\n"
    "beq 5f\n"
    "rsb.w r2, r12, #0\n"
    "subs r2, r2, #127\n"                    /* sign, plus the exponent less 1 */
    "lsls r3, r2, #1\n"
    "cmp.w r3, #508\n"
    "bhs 6f\n"
    "and r12, r2, #0x80000000\n"
    "add.w r2, r12, r2, lsl #23\n"
    "lsls r3, r1, #24\n"
    "orr.w r3, r3, r0, lsr #1\n"             /* bit 0 is 0: 16 bits of the product are */
    "lsrs r0, r1, #9\n"
    "sbcs r3, r3, #0x80000000\n"
    "adc.w r0, r2, r1, lsr #8\n"
    "bx lr\n"
    "4:\n"
    "lsls r2, r0, #1\n"                      /* an operand is infinite or NaN */
    "lsls r3, r1, #1\n"
    "cmp.w r2, #0xFF000000\n"
    "bhi 2f\n"
    "cmp.w r3, #0xFF000000\n"
    "bhi 2f\n"
    "cbz r2, 2f\n"
    "cbz r3, 2f\n"
    "1:\n"
    "orr r0, r12, #0x7F800000\n"
    "bx lr\n"
    "2:\n"
    "mvn r0, #0x80000000\n"
    "bx lr\n"
    "5:\n"
    "add.w r12, r12, #512\n"                 /* zero; the exponents have borrowed from the sign */
    "and r0, r12, #0x80000000\n"
    "bx lr\n"
    ".balign 4\n"
    "6:\n"
    "asrs r3, r3, #1\n"                      /* out of range */
    "bpl 7f\n"
    "sub.w r12, r2, r3\n"
    "add.w r2, r3, #24\n"                    /* subnormal: shifted by more than 8 */
    "lsl.w r2, r1, r2\n"
    "rsb.w r3, r3, #8\n"
    "orr.w r2, r2, r0, lsr #1\n"
    "lsrs r1, r1, r3\n"
    "lsrs r3, r1, #1\n"
    "sbcs r2, r2, #0x80000000\n"
    "adc.w r0, r12, r1\n"
    "bx lr\n"
    "7:\n"
    "sub.w r12, r2, r3\n"
    "orr r0, r12, #0x7F800000\n"
    "bx lr\n"
    APR_SOFT_END("__aeabi_fmul"));

/* a / b. Both mantissas have 24 bits, and a is made at least b: three divisions give 8 bits of the quotient each, and
 * twice the remainder is compared with b. There are no ties but among subnormal results: 2^24 does not divide b. */
__asm__(
    APR_SOFT_SECTION("__aeabi_fdiv")
    APR_SOFT_ENTRY("__aeabi_fdiv")
    "eor.w r12, r0, r1\n"
    "ubfx r2, r0, #23, #8\n"
    "ubfx r3, r1, #23, #8\n"
    "and r12, r12, #0x80000000\n"
    "cmp r2, #255\n"
    "it ne\n"
    "cmpne r3, #255\n"
    "beq 4f\n"
    "lsls r0, r0, #9\n"
    "lsls r1, r1, #9\n"
    "cmp r3, #1\n"
    "rrx r1, r1\n"
    "sbc.w r12, r12, r3\n"
    "cmp r2, #1\n"
    "rsb.w r12, r12, #0\n"
    "rrx r0, r0\n"
    "sbc.w r12, r12, r2\n"                   /* sign, less the exponent of a, plus that of b */
    "cmp r1, #0\n"
    "beq 5f\n"
    "clz r2, r0\n"
    "clz r3, r1\n"
    "lsls r0, r0, r2\n"
    "beq 6f\n"
    "lsls r1, r1, r3\n"
    "add.w r12, r12, r2\n"
    "sub.w r12, r12, r3\n"
    "lsrs r0, r0, #8\n"
    "lsrs r1, r1, #8\n"
    "cmp r0, r1\n"
    "itt lo\n"
    "lsllo r0, r0, #1\n"
    "addlo r12, r12, #1\n"
    "lsls r0, r0, #7\n"                      /* below 2^32, as a < 2 b */
    "udiv r2, r0, r1\n"
    "mls r0, r2, r1, r0\n"
    "rsb.w r12, r12, #126\n"                 /* sign, plus the exponent less 1 */
    "lsls r0, r0, #8\n"
    "udiv r3, r0, r1\n"
    "mls r0, r3, r1, r0\n"
    "add.w r2, r3, r2, lsl #8\n"
    "lsls r0, r0, #8\n"
    "udiv r3, r0, r1\n"
    "mls r0, r3, r1, r0\n"
    "add.w r2, r3, r2, lsl #8\n"
    "lsl.w r3, r12, #1\n"
    "cmp.w r3, #508\n"
    "bhs 7f\n"
    "and r3, r12, #0x80000000\n"
    "add.w r3, r3, r12, lsl #23\n"
    "lsls r0, r0, #1\n"
    "cmp r0, r1\n"
    "adc.w r0, r2, r3\n"
    "bx lr\n"
    "4:\n"
    "lsls r2, r0, #1\n"                      /* an operand is infinite or NaN */
    "lsls r3, r1, #1\n"
    "cmp.w r2, #0xFF000000\n"
    "bhi 2f\n"
    "ite eq\n"
    "moveq r2, #1\n"
    "movne r2, #0\n"
    "cmp.w r3, #0xFF000000\n"
    "bhi 2f\n"
    "bne 1f\n"
    "cbnz r2, 2f\n"
    "mov r0, r12\n"
    "bx lr\n"
    "5:\n"
    "cbz r0, 2f\n"                           /* b is 0 */
    "add.w r12, r12, #512\n"
    "and r12, r12, #0x80000000\n"
    "1:\n"
    "orr r0, r12, #0x7F800000\n"
    "bx lr\n"
    "2:\n"
    "mvn r0, #0x80000000\n"
    "bx lr\n"
    "6:\n"
    "add.w r12, r12, #512\n"                 /* a is 0; the exponents may have borrowed from the sign */
    "and r0, r12, #0x80000000\n"
    "bx lr\n"
    "7:\n"
    "asrs r3, r3, #1\n"                      /* out of range */
    "sub.w r12, r12, r3\n"
    "bpl 1b\n"
    "add.w r1, r3, #32\n"                    /* subnormal */
    "lsl.w r1, r2, r1\n"
    "cmp r0, #0\n"
    "it ne\n"
    "orrne r1, r1, #1\n"
    "rsbs r3, r3, #0\n"
    "lsrs r2, r2, r3\n"
    "lsrs r3, r2, #1\n"
    "sbcs r1, r1, #0x80000000\n"
    "adc.w r0, r12, r2\n"
    "bx lr\n"
    APR_SOFT_END("__aeabi_fdiv"));

/* a < b, a <= b, a >= b, a > b: 1 or 0, and 0 where one is NaN. Two zeros are made equal; of two negative numbers all
 * bits are turned over, so that their order is that of signed integers. */
#define APR_SOFT_ORDER(name, yes, no)                                                                \
    APR_SOFT_SECTION(name) APR_SOFT_ENTRY(name)                                                      \
    "lsls r2, r0, #1\nlsls r3, r1, #1\ncmp.w r2, #0xFF000000\nit ls\ncmpls.w r3, #0xFF000000\nbhi 1f\n"      \
    "orrs r2, r2, r3\nit eq\nmoveq r0, r1\nand.w r2, r0, r1\neor.w r0, r0, r2, asr #31\n"            \
    "eor.w r1, r1, r2, asr #31\ncmp r0, r1\nite " yes "\nmov" yes " r0, #1\nmov" no " r0, #0\nbx lr\n"     \
    "1:\nmovs r0, #0\nbx lr\n"                                                                       \
    APR_SOFT_END(name)
__asm__(APR_SOFT_ORDER("__aeabi_fcmplt", "lt", "ge"));
__asm__(APR_SOFT_ORDER("__aeabi_fcmple", "le", "gt"));
__asm__(APR_SOFT_ORDER("__aeabi_fcmpge", "ge", "lt"));
__asm__(APR_SOFT_ORDER("__aeabi_fcmpgt", "gt", "le"));
__asm__(APR_SOFT_ORDER("__aeabi_fcmpeq", "eq", "ne"));

/* 1 where a or b is NaN. */
__asm__(
    APR_SOFT_SECTION("__aeabi_fcmpun")
    APR_SOFT_ENTRY("__aeabi_fcmpun")
    "lsls r2, r0, #1\n"
    "lsls r3, r1, #1\n"
    "cmp.w r2, #0xFF000000\n"
    "it ls\n"
    "cmpls.w r3, #0xFF000000\n"
    "ite hi\n"
    "movhi r0, #1\n"
    "movls r0, #0\n"
    "bx lr\n"
    APR_SOFT_END("__aeabi_fcmpun"));

#endif

#endif
