/* apr_code.h: codes of features, small integers in the order of their values, for trees that compare integers. */
#ifndef APR_CODE_H
#define APR_CODE_H

#include "apr_rt.h"

/* Functions of generated branches are compiled for size and stay functions: a compiler that copies the ends of trees
 * makes them a third larger. */
#if defined(__clang__)
#define APR_COMPACT __attribute__((minsize, noinline))
#elif defined(__GNUC__)
#define APR_COMPACT __attribute__((cold, noinline))
#else
#define APR_COMPACT
#endif

/* Small functions that do the same and stay apart, each called from its own stretch of code. */
#if defined(__clang__)
#define APR_APART __attribute__((noinline))
#elif defined(__GNUC__)
#define APR_APART __attribute__((noinline, noclone, no_icf))
#else
#define APR_APART
#endif

/* A function that is compiled to be quick though only such branches call it. */
#if defined(__clang__)
#define APR_QUICK __attribute__((hot, noinline))
#elif defined(__GNUC__)
#define APR_QUICK __attribute__((hot, noinline, noclone))
#else
#define APR_QUICK
#endif

/* The function that calls them has its counters in the frame of its own caller: two frames take 16 bytes more. */
#if defined(__GNUC__)
#define APR_MERGED inline __attribute__((always_inline))
#else
#define APR_MERGED inline
#endif

/* The number whose two's complement the bits are.
 * Deviation: uint32 above INT32_MAX to int32; every compiler we list wraps. */
static inline int32_t apr_signed(uint32_t bits)
{
    return (int32_t)bits;
}

/* A code as it is, or 0 for one below 0, whose bits these are: cores that load bytes without a sign in less. */
static inline uint8_t apr_without_sign(uint32_t bits)
{
    return (uint8_t)(bits & ~(0U - (bits >> 7)) & 255U);
}

/* Four codes as they are, or 0 for those below 0, whose highest bit is set: 255 times that bit in the lowest place covers
 * them, whatever the order of bytes is. A word in one load and one store, for cores that have them at any address. */
static inline void apr_without_signs(const int8_t *codes, uint8_t *found)
{
    uint32_t word;
    __builtin_memcpy(&word, codes, sizeof word);
    word &= ~(((word >> 7) & 0x01010101U) * 255U);
    __builtin_memcpy(found, &word, sizeof word);
}

/* The bits as an integer, INT32_MAX for a NaN with a sign: orders what is not negative like the floats, NaN last, and is
 * below 0 for all else.
 * Deviation: uint32 above INT32_MAX to int32; every compiler we list wraps. */
static inline int32_t apr_bit_key(float value)
{
    const uint32_t bits = apr_bits(value);
    return (bits > 0xFF800000U) ? INT32_MAX : (int32_t)bits;
}

/* 1 when the value is at most the float with these bits, which is 0 or more; 0 for NaN. Bits of negative values are
 * below 0 as int32, and so are those of a NaN with a sign: these alone are above 0xFF800000. */
static inline int apr_at_most(float value, int32_t threshold)
{
    const uint32_t bits = apr_bits(value);
    return ((apr_signed(bits) <= threshold) && (bits <= 0xFF800000U)) ? 1 : 0;
}

/* The same for a float below 0: from its bits on, as uint32, values fall to -infinity, and NaN with a sign follows. */
static inline int apr_at_most_negative(float value, uint32_t threshold)
{
    const uint32_t bits = apr_bits(value);
    return ((bits >= threshold) && (bits <= 0xFF800000U)) ? 1 : 0;
}

/* ceil((key - base) / 2^shift), from 0 to top, for base >= 0 and even; NaN has code top.
 *   half_base   base / 2 - (2^half_shift - 1), in (-2^29, 2^30)
 *   half_shift  shift - 1, [0, 29]
 * Works on key / 2 rounded up, in [-2^30, 2^30], so no difference overflows. Bits of negative values, as int32, are
 * below base in any order, which is all that counts; a NaN with a sign becomes the largest key first.
 * Deviation: uint32 above INT32_MAX to int32, and >> of a negative value; every compiler we list wraps and shifts
 * arithmetically. */
static inline uint32_t apr_shift_code(float value, int32_t half_base, uint32_t half_shift, int32_t top)
{
    const uint32_t bits = apr_bits(value);
    const int32_t key = (bits > 0xFF800000U) ? INT32_MAX : (int32_t)bits;
    const int32_t half = key - (key >> 1);
    const int32_t code = (half - half_base) >> half_shift;
    return (uint32_t)((code < 0) ? 0 : ((code > top) ? top : code));
}

#endif
