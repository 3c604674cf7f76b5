/* Square root of a float32, correctly rounded, by integers: for cores without a square root instruction.
 * 25 steps whatever the input; one bit of the root in each. Folders of targets that have the instruction hold
 * their own apr_sqrt.h with the same function and the same results (any NaN equals any NaN). */
#ifndef APR_SQRT_H
#define APR_SQRT_H

#include "apr_mark.h"

#include <stdint.h>

typedef union apr_sqrt_word {
    float f;
    uint32_t u;
} apr_sqrt_word;

/* sqrt x: -0 for -0, NaN for x < 0. Correctly rounded for all 2^32 floats (accuracy/measure.c). */
static inline float apr_sqrtf(float x)
{
    apr_sqrt_word w;
    w.f = x;
    const uint32_t bits = w.u;
    if ((bits - 1U) >= 0x7F7FFFFFU) { /* zero, negative, infinite, NaN */
        w.u = (((bits << 1) == 0U) || (bits == 0x7F800000U) || ((bits << 1) > 0xFF000000U)) ? bits : 0x7FC00000U;
        return w.f;
    }
    uint32_t m = bits & 0x7FFFFFU;
    uint32_t e = bits >> 23; /* x = m * 2^(e - 150) */
    if (e != 0U) {
        m |= 0x800000U;
    } else {
        e = 1U;
        /* A subnormal becomes 24 bits long: shifts by 16, 8, 4, 2 and 1, as far as each fits. */
        APR_LOOP(apr_sqrtf_subnormal, 5U);
        for (uint32_t s = 16U; s != 0U; s >>= 1) {
            APR_BODY(apr_sqrtf_subnormal, 5U);
            const uint32_t fits = (m < (UINT32_C(0x1000000) >> s)) ? s : 0U;
            m <<= fits;
            e -= fits; /* wraps below 0: only its sum with 381 is used */
        }
    }
    /* x is m or 2 m times an even power of 2: a radicand in [2^24, 2^26), whose root has 25 bits, found in 25 steps;
     * the last bit decides the rounding. A tie cannot occur: the square of an odd 25-bit number needs 49 bits. */
    uint32_t rest = m << (1U + ((e + 1U) & 1U));
    uint32_t root = 0U;
    uint32_t twice = 0U; /* twice the root so far, in the scale of rest */
    APR_LOOP(apr_sqrtf_bits, 25U);
    for (uint32_t bit = UINT32_C(1) << 24; bit != 0U; bit >>= 1) {
        APR_BODY(apr_sqrtf_bits, 25U);
        const uint32_t trial = twice + bit;
        if (rest >= trial) {
            rest -= trial;
            twice = trial + bit;
            root += bit;
        }
        rest <<= 1;
    }
    w.u = ((root >> 1) + (root & 1U)) + (((e + 125U) >> 1) << 23);
    return w.f;
}

#endif
