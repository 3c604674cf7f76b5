/* apr_int.h: what integer models need: shifts that round, and the way from sums back to codes. C99, freestanding. */
#ifndef APR_INT_H
#define APR_INT_H

#include "apr_core.h"
#include "apr_rt.h"
#include "apr_vector.h"

#if (-1 >> 1) != -1
#error "a right shift of a negative integer must keep its sign"
#endif

/* value / 2^shift, rounded down. */
static inline int32_t apr_shifted(int32_t value, uint32_t shift)
{
    return value >> shift; /* checked above: arithmetic */
}

/* acc * multiplier / 2^(16 + shift): the product cut after 16 bits, then rounded half up. shift is in [1, 31] and
 * multiplier in [0, 2^15), so that nothing overflows for any acc. */
static inline int32_t apr_requantised(int32_t acc, int16_t multiplier, uint8_t shift)
{
    const uint32_t last = (uint32_t)shift - 1U;
    const int32_t half = (int32_t)(UINT32_C(1) << last);
    return apr_shifted(apr_product_upper(acc, multiplier) + half, shift);
}

/* The bits of a float as a signed integer: floats with one sign are ordered as their bits. */
static inline int32_t apr_signed_bits(float value)
{
    union {
        float f;
        int32_t i;
    } pun;
    pun.f = value;
    return pun.i;
}

/* 1 for a NaN of either sign; integer operations only. */
static inline int apr_is_nan(float value)
{
    return ((apr_bits(value) & 0x7FFFFFFFU) > 0x7F800000U) ? 1 : 0;
}

#endif
