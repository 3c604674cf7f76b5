/* apr_wide.h: what kernels for blocks of rows share, with AVX2. */
#ifndef APR_WIDE_H
#define APR_WIDE_H

#include "apr_gather.h"
#include "apr_lines.h"

#include <immintrin.h>

/* Lanes of 8 rows from `row` on that are among the first n_rows: all bits set; row < n_rows. */
static inline __m256i apr_wide_rows(uint32_t row, uint32_t n_rows)
{
    const uint32_t left = n_rows - row;
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int32_t)((left > 8U) ? 8U : left)), lane);
}

/* Integers in the order of the floats, both zeros alike; `missing` in place of a NaN. */
static inline __m256i apr_wide_keys(__m256 values, __m256i missing)
{
    const __m256i bits = _mm256_castps_si256(_mm256_add_ps(values, _mm256_setzero_ps())); /* -0 + 0 = +0 */
    const __m256i flip = _mm256_srli_epi32(_mm256_srai_epi32(bits, 31), 1); /* all but the sign, of negative ones */
    const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(values, values, _CMP_UNORD_Q));
    return _mm256_blendv_epi8(_mm256_xor_si256(bits, flip), missing, nan);
}

/* Keys of one column of 8 rows: `lanes` are the places of their values from `x` on. */
static inline __m256i apr_wide_column(const float *x, __m256i lanes, __m256i rows, __m256i missing)
{
    return apr_wide_keys(_mm256_castsi256_ps(apr_gathered_some(x, lanes, rows, _mm256_setzero_si256())), missing);
}

/* Where the values of 8 rows of n values begin. */
static inline __m256i apr_wide_lanes(int32_t n)
{
    return _mm256_mullo_epi32(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), _mm256_set1_epi32(n));
}

/* How many of 16 thresholds are below a key. */
static inline uint32_t apr_wide_below_16(const int32_t *thresholds, int32_t key)
{
    const __m256i wide = _mm256_set1_epi32(key);
    const __m256i first = _mm256_cmpgt_epi32(wide, _mm256_load_si256((const __m256i *)(const void *)&thresholds[0]));
    const __m256i second = _mm256_cmpgt_epi32(wide, _mm256_load_si256((const __m256i *)(const void *)&thresholds[8]));
    const __m256i both = _mm256_packs_epi32(first, second); /* two bytes for each, in another order */
    return (uint32_t)_mm_popcnt_u32((uint32_t)_mm256_movemask_epi8(both)) / 2U;
}

/* Of 32 codes with a sign, all bits of those above the limit. */
static inline __m256i apr_wide_right(const uint8_t *codes, __m256i limit)
{
    return _mm256_cmpgt_epi8(_mm256_load_si256((const __m256i *)(const void *)codes), limit);
}

#endif
