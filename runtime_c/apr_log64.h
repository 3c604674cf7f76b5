/* Natural logarithm of a positive integer as a float64: the weight of a repeated word, 1 + ln tf, in TF-IDF.
 *
 * Integers of 64 bits inside, one rounding at the end, twelve terms whatever the input; no double arithmetic, so the
 * cost does not depend on a floating point unit: 276 instructions on Cortex-M4, 2942 on Cortex-M0+ (gcc 12.2 -O2).
 * The bound below is |result - exact| in thousandths of an ulp, checked by accuracy/measure.c. */
#ifndef APR_LOG64_H
#define APR_LOG64_H

#include "apr_math.h"

#define APR_LOG_F64_MAX_MILLIULP 505

typedef union apr_log64_word {
    double f;
    uint64_t u;
} apr_log64_word;

/* High half of the 128-bit product, from four 32-bit products. */
static inline uint64_t apr_mulhi_u64(uint64_t a, uint64_t b)
{
    const uint64_t a0 = (uint32_t)a;
    const uint64_t a1 = a >> 32;
    const uint64_t b0 = (uint32_t)b;
    const uint64_t b1 = b >> 32;
    const uint64_t cross = (a1 * b0) + ((a0 * b0) >> 32); /* at most (2^32 - 1)^2 + 2^32 - 2 */
    return (a1 * b1) + (cross >> 32) + (((a0 * b1) + (uint32_t)cross) >> 32);
}

/* ln n for n >= 1; -infinity for 0, as log does.
 * Worst of 136,418,016 counts (all up to 2^26, then every 61st): 0.50195 ulp at 586; 99.965 % correctly rounded.
 *
 * n = 2^k * v, v in [1, 2). An eighth of that range has one short c just above 1 / v; z = v * c - 1 is exact and in
 * [0, 1/8]. ln n = k ln 2 - ln c + ln(1 + z): three terms that are not negative, so nothing cancels.
 * ln(1 + z) / z is a minimax polynomial of degree 11, error 2^-63.6, with terms of alternating sign. */
APR_LARGE double apr_log_f64(uint32_t n)
{
    static const uint16_t c[8] = {256U, 228U, 205U, 187U, 171U, 158U, 147U, 137U}; /* Q8 */
    static const uint64_t minus_ln_c[8] = {
        /* Q59 */
        UINT64_C(0x0000000000000000),
        UINT64_C(0x00ED393B1C223513),
        UINT64_C(0x01C6FFBC6F00F70A),
        UINT64_C(0x028336847ABD18E4),
        UINT64_C(0x033A657D42BDA762),
        UINT64_C(0x03DC542AD6827CA0),
        UINT64_C(0x04701E126B9801CB),
        UINT64_C(0x050067084972A4C6),
    };
    static const uint64_t term[12] = {
        /* Q63, highest degree first */
        UINT64_C(0x057F7F142F8DCD58),
        UINT64_C(0x0A263D6E3067CDCA),
        UINT64_C(0x0C899EB5330716C4),
        UINT64_C(0x0E3129B8DD9580F6),
        UINT64_C(0x0FFF67AFAD40406B),
        UINT64_C(0x12491CAF4553A4BF),
        UINT64_C(0x155555102BADD02B),
        UINT64_C(0x1999999817CDAF25),
        UINT64_C(0x1FFFFFFFFB07236D),
        UINT64_C(0x2AAAAAAAAAA22CD3),
        UINT64_C(0x3FFFFFFFFFFFFA50),
        UINT64_C(0x7FFFFFFFFFFFFFFF),
    };
    apr_log64_word w;
    if (n <= 1U) {
        w.u = (n == 0U) ? 0xFFF0000000000000U : UINT64_C(0);
        return w.f;
    }
    const uint32_t zeros = apr_clz_u32(n);
    const uint32_t m = n << zeros; /* v in Q31 */
    const uint32_t k = 31U - zeros;
    const uint32_t j = (m >> 28) - 8U;
    const uint64_t z = (((uint64_t)m * c[j]) - (UINT64_C(1) << 39)) << 25; /* Q64, at most 2^61 */
    uint64_t p = term[0];
    APR_LOOP(apr_log_f64, 11U);
    for (uint32_t i = 1U; i < 12U; ++i) {
        APR_BODY(apr_log_f64, 11U);
        p = term[i] - apr_mulhi_u64(z, p); /* each term exceeds the one before, and z <= 1/8: p > 0 */
    }
    /* ln 2 in Q91, in two pieces; 1 makes up for the three values rounded down. Sum at most 22.2 * 2^59. */
    const uint64_t k_ln2 = (k * UINT64_C(0x058B90BFBE8E7BCD)) + ((k * UINT64_C(0x5E4F1D9D)) >> 32);
    const uint64_t sum = k_ln2 + minus_ln_c[j] + (apr_mulhi_u64(z, p) >> 4) + 1U;
    const uint32_t shift = apr_clz_u64(sum); /* 0 to 5 */
    const uint64_t g = sum << shift;
    const uint32_t exponent = 1026U - shift;
    w.u = ((uint64_t)exponent << 52) + (((g >> 10) + 1U) >> 1);
    return w.f;
}

#endif
