/* apr_wide.h: what kernels for blocks of rows share, with AVX-512 (F, BW, DQ, VL). */
#ifndef APR_WIDE_H
#define APR_WIDE_H

#include "apr_lines.h"

#include <immintrin.h>

/* Lanes of 16 rows from `row` on that are among the first n_rows; row < n_rows. */
static inline __mmask16 apr_wide_rows(uint32_t row, uint32_t n_rows)
{
    const uint32_t left = n_rows - row;
    return (__mmask16)((left >= 16U) ? 0xFFFFU : ((1U << left) - 1U));
}

/* Integers in the order of the floats, both zeros alike; `missing` in place of a NaN. */
static inline __m512i apr_wide_keys(__m512 values, __m512i missing)
{
    const __m512i bits = _mm512_castps_si512(_mm512_add_ps(values, _mm512_setzero_ps())); /* -0 + 0 = +0 */
    const __m512i flip = _mm512_srli_epi32(_mm512_srai_epi32(bits, 31), 1); /* all but the sign, of negative ones */
    const __mmask16 nan = _mm512_cmp_ps_mask(values, values, _CMP_UNORD_Q);
    return _mm512_mask_mov_epi32(_mm512_xor_si512(bits, flip), nan, missing);
}

/* Keys of one column of 16 rows: `lanes` are the places of their values from `x` on. */
static inline __m512i apr_wide_column(const float *x, __m512i lanes, __mmask16 rows, __m512i missing)
{
    return apr_wide_keys(_mm512_mask_i32gather_ps(_mm512_setzero_ps(), rows, lanes, x, 4), missing);
}

/* Where the values of 16 rows of n values begin. */
static inline __m512i apr_wide_lanes(int32_t n)
{
    const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    return _mm512_mullo_epi32(lane, _mm512_set1_epi32(n));
}

/* Of 16 keys, the bits of those above their thresholds. */
static inline __mmask16 apr_wide_above(__m512i keys, const int32_t *thresholds)
{
    return _mm512_cmpgt_epi32_mask(keys, _mm512_load_si512((const void *)thresholds));
}

/* Bits of the splits of six levels whose codes are smaller than those that a row has for them. */
static inline uint64_t apr_wide_bits16(__m512i low, __m512i code_low, __m512i high, __m512i code_high)
{
    return (uint64_t)_mm512_cmpgt_epu16_mask(low, code_low) | ((uint64_t)_mm512_cmpgt_epu16_mask(high, code_high) << 32);
}

/* Half a line: the features of the splits below, in front of their codes. */
static inline __m512i apr_wide_half(const uint16_t *own)
{
    return _mm512_castsi256_si512(_mm256_load_si256((const __m256i *)(const void *)own));
}

/* Bits of the splits below whose codes are smaller than those that a row has for them. */
static inline uint64_t apr_wide_below16(__m512i met, const uint16_t *own)
{
    const __m256i code = _mm256_load_si256((const __m256i *)(const void *)&own[16]);
    return (uint64_t)_mm256_cmpgt_epu16_mask(_mm512_castsi512_si256(met), code);
}

/* The same where both fit in bytes: a quarter of a line each, as it stands for codes of 8 bits. */
static inline __m512i apr_wide_half_of_bytes(const uint8_t *own)
{
    return _mm512_castsi256_si512(_mm256_cvtepu8_epi16(_mm_load_si128((const __m128i *)(const void *)own)));
}

static inline uint64_t apr_wide_below16_of_bytes(__m512i met, const uint8_t *own)
{
    const __m256i code = _mm256_cvtepu8_epi16(_mm_load_si128((const __m128i *)(const void *)&own[16]));
    return (uint64_t)_mm256_cmpgt_epu16_mask(_mm512_castsi512_si256(met), code);
}

/* With codes of 8 bits: a quarter of a line. */
static inline __m512i apr_wide_quarter(const uint8_t *own)
{
    return _mm512_castsi128_si512(_mm_load_si128((const __m128i *)(const void *)own));
}

static inline uint64_t apr_wide_below8(__m512i met, const uint8_t *own)
{
    const __m128i code = _mm_load_si128((const __m128i *)(const void *)&own[16]);
    return (uint64_t)_mm_cmpgt_epu8_mask(_mm512_castsi512_si128(met), code);
}

/* Of 64 codes, the bits of those above the limit. */
static inline __mmask64 apr_wide_right(const uint8_t *codes, __m512i limit)
{
    return _mm512_cmpgt_epu8_mask(_mm512_load_si512((const void *)codes), limit);
}

#endif
