/* apr_mark.h: how often loops run, told to the analysis of worst-case execution times.
 *
 * APR_LOOP(name, n) stands before a loop, APR_BODY(name, n) near the start of its body, where every turn comes by:
 * however the compiler copies and moves both, all bodies of a name together run at most n times as often as all its
 * loops are reached. The name is unique in the program. A mark is no instruction: a record in a section that is not
 * loaded and that `strip` removes.
 *
 * Where no constant of the loop itself says how often it runs, APR_ALLOW(name, n) allows n and APR_SPEND(name, n) spends
 * n, in the same function or in one that it calls; APR_REFUND(name, n) gives back some of what was spent. What is spent
 * is at most what was allowed: in a call of a public function, and in a call of any function that allows as far as its
 * own code spends. n may be APR_PER_BYTE(halves, more): half of (halves times the bytes of the text, and more), rounded
 * down.
 *
 * gcc for Arm's M profile makes marks in every build, so that the code that was analysed is the code that is shipped:
 * they take no byte of flash, but gcc counts each as a statement when it decides what to unroll. Elsewhere APR_MARKS
 * asks for them, and aprgen does; APR_NO_MARKS turns them off, and then the bounds of `aprgen wcet` do not hold. The
 * records are worth something only after a look at the compiler's assembly (aprgen/label_order.py). */
#ifndef APR_MARK_H
#define APR_MARK_H

#if defined(__GNUC__) && defined(__ELF__) && !defined(__clang__) && !defined(APR_MARKS) && !defined(APR_NO_MARKS)
#if (__GNUC__ >= 9) && defined(__ARM_ARCH_PROFILE) /* older ones know no inline assembly of no size */
#if __ARM_ARCH_PROFILE == 77 /* 'M' */
#define APR_MARKS
#endif
#endif
#endif

#if defined(APR_MARKS) && defined(__ELF__) && defined(__GNUC__) && !defined(APR_NO_MARKS)

/* By the length of a text: halves < 2^22, more < 256. */
#define APR_PER_BYTE(halves, more) (0x80000000U | ((halves) << 8) | (more))
#define APR_BY_ARGUMENT 0xFFFFFFFEU /* no constant: an argument of a function decides */

/* An argument where it is a constant after inlining. */
#if defined(__OPTIMIZE__)
#define APR_IF_CONSTANT(n) (__builtin_constant_p(n) ? (n) : APR_BY_ARGUMENT)
#else
#define APR_IF_CONSTANT(n) APR_BY_ARGUMENT
#endif

/* A record: where, 0 loop, 1 body, 2 allow, 3 spend, 4 refund, n, the line, the name. Volatile, so it is reached as often as the source says;
 * inline, so the compiler takes it for as small as it is. */
#define APR_MARK(kind, name, n)                                                                          \
    __asm__ __volatile__ __inline__("99:\n\t.pushsection .debug_apr_marks,\"\",%%progbits\n"             \
                                    "\t.4byte 99b, %c0, %c1, %c2\n\t.asciz \"" #name "\"\n\t.balign 4\n" \
                                    "\t.popsection"                                                      \
                                    :                                                                    \
                                    : "i"(kind), "i"(n), "i"(__LINE__))

#define APR_LOOP(name, n) APR_MARK(0, name, n)
#define APR_BODY(name, n) APR_MARK(1, name, n)
#define APR_ALLOW(name, n) APR_MARK(2, name, n)
#define APR_SPEND(name, n) APR_MARK(3, name, n)
#define APR_REFUND(name, n) APR_MARK(4, name, n)

#else

#define APR_LOOP(name, n) ((void)0)
#define APR_BODY(name, n) ((void)0)
#define APR_ALLOW(name, n) ((void)0)
#define APR_SPEND(name, n) ((void)0)
#define APR_REFUND(name, n) ((void)0)

#endif

#endif
