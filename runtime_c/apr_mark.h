/* apr_mark.h: how often loops run, told to the analysis of worst-case execution times.
 *
 * APR_LOOP(name, n) stands before a loop, APR_BODY(name, n) near the start of its body, where every turn comes by:
 * however the compiler copies and moves both, all bodies of a name together run at most n times as often as all its
 * loops are reached. The name is unique in the program. A mark is no instruction: a record in a section that is not
 * loaded and that `strip` removes.
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

#define APR_BY_TEXT 0xFFFFFFFFU     /* no constant: the length of a text decides */
#define APR_BY_ARGUMENT 0xFFFFFFFEU /* no constant: an argument of a function decides */

/* An argument where it is a constant after inlining. */
#if defined(__OPTIMIZE__)
#define APR_IF_CONSTANT(n) (__builtin_constant_p(n) ? (n) : APR_BY_ARGUMENT)
#else
#define APR_IF_CONSTANT(n) APR_BY_ARGUMENT
#endif

/* A record: where, 0 loop or 1 body, n, the line, the name. Volatile, so it is reached as often as the source says;
 * inline, so the compiler takes it for as small as it is. */
#define APR_MARK(kind, name, n)                                                                          \
    __asm__ __volatile__ __inline__("99:\n\t.pushsection .debug_apr_marks,\"\",%%progbits\n"             \
                                    "\t.4byte 99b, %c0, %c1, %c2\n\t.asciz \"" #name "\"\n\t.balign 4\n" \
                                    "\t.popsection"                                                      \
                                    :                                                                    \
                                    : "i"(kind), "i"(n), "i"(__LINE__))

#define APR_LOOP(name, n) APR_MARK(0, name, n)
#define APR_BODY(name, n) APR_MARK(1, name, n)

#else

#define APR_LOOP(name, n) ((void)0)
#define APR_BODY(name, n) ((void)0)

#endif

#endif
