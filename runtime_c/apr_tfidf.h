/* apr_tfidf.h: tf * idf, both float64, rounded to float64 and then to float32, in integer arithmetic.
 *
 * The bits are those of (float)(tf * idf) in double; a core without a unit for double saves its software routines,
 * 1.7 to 5 kB of flash, and the time they take. */
#ifndef APR_TFIDF_H
#define APR_TFIDF_H

#include "apr_log64.h"
#include "apr_rt.h"

/* A positive number: mantissa * 2^(exponent - 63), the mantissa's top bit set, its lowest 11 bits clear. */
typedef struct {
    uint64_t mantissa;
    int32_t exponent;
} apr_weight;

/* value / 2^drop to the nearest integer, half way to the even one; 0 < drop < 64. */
static inline uint64_t apr_round_even(uint64_t value, uint32_t drop)
{
    const uint64_t half = UINT64_C(1) << (drop - 1U);
    const uint64_t rest = value & ((half << 1) - 1U);
    const uint64_t down = value >> drop;
    return ((rest > half) || ((rest == half) && ((down & 1U) != 0U))) ? (down + 1U) : down;
}

/* tf = count, a float of at least 1. */
static inline apr_weight apr_tf(float count)
{
    const uint32_t bits = apr_bits(count);
    apr_weight tf;
    const uint32_t mantissa = (bits & 0x7FFFFFU) | 0x800000U;
    tf.mantissa = (uint64_t)mantissa << 40;
    tf.exponent = (int32_t)(bits >> 23) - 127;
    return tf;
}

/* tf = 1 + ln count, the sum rounded to float64; count is an integer from 1 to 2^24. */
static inline apr_weight apr_tf_sublinear(float count)
{
    apr_log64_word ln;
    apr_weight tf;
    tf.mantissa = UINT64_C(1) << 63;
    tf.exponent = 0;
    ln.f = apr_log_f64((uint32_t)count);
    if (ln.u != 0U) {
        /* ln count = m * 2^(e - 52) with e from -1 (ln 2) to 4; one is 2^(52 - e) of that unit, and the sum < 2^54. */
        const int32_t e = (int32_t)(ln.u >> 52) - 1023;
        const uint64_t m = (ln.u & UINT64_C(0xFFFFFFFFFFFFF)) | UINT64_C(0x10000000000000);
        const int32_t ones = 52 - e;
        uint64_t sum = m + (UINT64_C(1) << (uint32_t)ones);
        tf.exponent = e;
        if ((sum >> 53) != 0U) {
            sum = apr_round_even(sum, 1U);
            tf.exponent = e + 1;
        }
        const uint32_t zeros = apr_clz_u64(sum); /* 11, or 10 when rounding made it 2^53 */
        tf.mantissa = sum << zeros;
        tf.exponent += 11 - (int32_t)zeros;
    }
    return tf;
}

/* tf * idf; idf is 0 or from 1e-30 to 1e30, and tf at most 2^24, so that the result is a normal float. */
static inline float apr_weigh(apr_weight tf, double idf)
{
    apr_log64_word w;
    w.f = idf;
    if (w.u == 0U) {
        return 0.0F;
    }
    const uint64_t b = ((w.u & UINT64_C(0xFFFFFFFFFFFFF)) | UINT64_C(0x10000000000000)) << 11;
    int32_t exponent = (tf.exponent + (int32_t)(w.u >> 52)) - 1022;
    uint64_t high = apr_mulhi_u64(tf.mantissa, b);
    uint64_t low = tf.mantissa * b;
    if ((high >> 63) == 0U) {
        high = (high << 1) | (low >> 63);
        low <<= 1;
        exponent -= 1;
    }
    /* What is below matters only as not being zero. Either rounding may carry to the next power of two: 2^53 drops to
     * 2^24, and the sum then carries into the exponent. */
    const uint64_t m53 = apr_round_even(high | (uint64_t)(low != 0U), 11U);
    const uint32_t m24 = (uint32_t)apr_round_even(m53, 29U);
    const int32_t biased = exponent + 127;
    return apr_from_bits(((uint32_t)biased << 23) + (m24 - 0x800000U));
}

#endif
