/* apr_wide.h: what kernels for blocks of rows share, with AVX2. */
#ifndef APR_WIDE_H
#define APR_WIDE_H

#include "apr_gather.h"
#include "apr_lines.h"
#include "apr_mark.h"

#include <immintrin.h>

/* A bit for each of 256 rows. */
typedef uint64_t apr_wide_line __attribute__((vector_size(32), may_alias));

/* Bit by bit, the first where the bit of `which` is set, else the second. */
static inline apr_wide_line apr_wide_either(apr_wide_line which, apr_wide_line first, apr_wide_line second)
{
    return second ^ (which & (first ^ second));
}

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

/* Values of one column of 8 rows: `lanes` are their places from `x` on. */
static inline __m256 apr_wide_column(const float *x, __m256i lanes, __m256i rows)
{
    return _mm256_castsi256_ps(apr_gathered_some(x, lanes, rows, _mm256_setzero_si256()));
}

/* Where the values of 8 rows of n values begin. */
static inline __m256i apr_wide_lanes(int32_t n)
{
    return _mm256_mullo_epi32(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), _mm256_set1_epi32(n));
}

/* The same values, and in place of a NaN the infinity that `missing` has as a key. */
static inline __m256 apr_wide_known(__m256 values, __m256i missing)
{
    const __m256 sign = _mm256_and_ps(_mm256_castsi256_ps(missing), _mm256_set1_ps(-0.0F));
    const __m256 infinity = _mm256_or_ps(sign, _mm256_set1_ps(APR_INFINITY));
    return _mm256_blendv_ps(values, infinity, _mm256_cmp_ps(values, values, _CMP_UNORD_Q));
}

/* Of 8 values, in which spans of a column they lie, the last of which is given: there a NaN lies, too. */
static inline __m256i apr_wide_spans(__m256 values, __m256 low, __m256 scale, __m256 last)
{
    const __m256 span = _mm256_mul_ps(_mm256_sub_ps(values, low), scale);
    return _mm256_cvttps_epi32(_mm256_max_ps(_mm256_min_ps(span, last), _mm256_setzero_ps()));
}

/* Of 8 thresholds, all bits of those below a key. */
static inline __m256i apr_wide_below(const int32_t *thresholds, int32_t key)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(key), _mm256_loadu_si256((const __m256i *)(const void *)thresholds));
}

/* How many of 8 thresholds are below a key. */
static inline uint32_t apr_wide_below_8(const int32_t *thresholds, int32_t key)
{
    return (uint32_t)_mm_popcnt_u32((uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(apr_wide_below(thresholds, key))));
}

/* How many of 16. */
static inline uint32_t apr_wide_below_16(const int32_t *thresholds, int32_t key)
{
    const __m256i both = /* two bytes for each, in another order */
        _mm256_packs_epi32(apr_wide_below(&thresholds[0], key), apr_wide_below(&thresholds[8], key));
    return (uint32_t)_mm_popcnt_u32((uint32_t)_mm256_movemask_epi8(both)) / 2U;
}

/* How many of 32. */
static inline uint32_t apr_wide_below_32(const int32_t *thresholds, int32_t key)
{
    const __m256i first = _mm256_packs_epi32(apr_wide_below(&thresholds[0], key), apr_wide_below(&thresholds[8], key));
    const __m256i second = _mm256_packs_epi32(apr_wide_below(&thresholds[16], key), apr_wide_below(&thresholds[24], key));
    return (uint32_t)_mm_popcnt_u32((uint32_t)_mm256_movemask_epi8(_mm256_packs_epi16(first, second)));
}

/* Of rows from `row` on, 8 columns of 8 rows to columns that are `apart` floats; the last row again for those behind it,
 * and zeros for columns behind those of a row. */
static inline void apr_wide_turned(
    const float *x, uint32_t n, uint32_t column, uint32_t row, uint32_t n_rows, float *values, uint32_t apart)
{
    const __m256i there = apr_wide_rows(column, n);
    __m256 a[8];
    __m256 b[8];
    APR_LOOP(apr_wide_turned_rows, 8U);
    for (uint32_t r = 0U; r < 8U; ++r) {
        APR_BODY(apr_wide_turned_rows, 8U);
        const uint32_t own = ((row + r) < n_rows) ? (row + r) : (n_rows - 1U);
        a[r] = _mm256_maskload_ps(&x[((size_t)own * n) + column], there);
    }
    APR_LOOP(apr_wide_turned_halves, 2U);
    for (uint32_t r = 0U; r < 8U; r += 4U) { /* four rows to four columns in each half */
        APR_BODY(apr_wide_turned_halves, 2U);
        const __m256 low_0 = _mm256_unpacklo_ps(a[r], a[r + 1U]);
        const __m256 high_0 = _mm256_unpackhi_ps(a[r], a[r + 1U]);
        const __m256 low_2 = _mm256_unpacklo_ps(a[r + 2U], a[r + 3U]);
        const __m256 high_2 = _mm256_unpackhi_ps(a[r + 2U], a[r + 3U]);
        b[r] = _mm256_shuffle_ps(low_0, low_2, 0x44);
        b[r + 1U] = _mm256_shuffle_ps(low_0, low_2, 0xEE);
        b[r + 2U] = _mm256_shuffle_ps(high_0, high_2, 0x44);
        b[r + 3U] = _mm256_shuffle_ps(high_0, high_2, 0xEE);
    }
    APR_LOOP(apr_wide_turned_columns, 4U);
    for (uint32_t c = 0U; c < 4U; ++c) { /* halves of four columns to columns */
        APR_BODY(apr_wide_turned_columns, 4U);
        _mm256_store_ps(&values[(c * apart) + row], _mm256_permute2f128_ps(b[c], b[4U + c], 0x20));
        _mm256_store_ps(&values[((4U + c) * apart) + row], _mm256_permute2f128_ps(b[c], b[4U + c], 0x31));
    }
}

/* Of 32 codes, each 127 less the code, all bits of those above that of the limit. So they are read as they are compared:
 * the larger one of a comparison is in a register. */
static inline __m256i apr_wide_right_8(const uint8_t *codes, __m256i limit)
{
    return _mm256_cmpgt_epi8(limit, _mm256_load_si256((const __m256i *)(const void *)codes));
}

/* The same of 16 codes, each 32,767 less the code. */
static inline __m256i apr_wide_right_16(const uint16_t *codes, __m256i limit)
{
    return _mm256_cmpgt_epi16(limit, _mm256_load_si256((const __m256i *)(const void *)codes));
}

/* Of 16 numbers their first bytes, their second ones and so on, each twice. */
static inline void apr_wide_parts(const void *numbers, __m256i parts[4])
{
    const __m128i *const fours = (const __m128i *)numbers;
    const __m128i order = _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const __m128i a = _mm_shuffle_epi8(_mm_loadu_si128(&fours[0]), order);
    const __m128i b = _mm_shuffle_epi8(_mm_loadu_si128(&fours[1]), order);
    const __m128i c = _mm_shuffle_epi8(_mm_loadu_si128(&fours[2]), order);
    const __m128i d = _mm_shuffle_epi8(_mm_loadu_si128(&fours[3]), order);
    const __m128i low_ab = _mm_unpacklo_epi32(a, b);
    const __m128i low_cd = _mm_unpacklo_epi32(c, d);
    const __m128i high_ab = _mm_unpackhi_epi32(a, b);
    const __m128i high_cd = _mm_unpackhi_epi32(c, d);
    parts[0] = _mm256_broadcastsi128_si256(_mm_unpacklo_epi64(low_ab, low_cd));
    parts[1] = _mm256_broadcastsi128_si256(_mm_unpackhi_epi64(low_ab, low_cd));
    parts[2] = _mm256_broadcastsi128_si256(_mm_unpacklo_epi64(high_ab, high_cd));
    parts[3] = _mm256_broadcastsi128_si256(_mm_unpackhi_epi64(high_ab, high_cd));
}

/* Of 32 places those from `first` on, as a shuffle takes them: others have a bit that makes it give zero. */
static inline __m256i apr_wide_sixteen(__m256i places, int8_t first)
{
    return _mm256_adds_epu8(_mm256_xor_si256(places, _mm256_set1_epi8(first)), _mm256_set1_epi8(0x70));
}

/* Places of 32 rows so that apr_wide_numbers() gives rows in order. */
static inline __m256i apr_wide_ordered(const uint8_t *places)
{
    const __m256i order = _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7);
    return _mm256_permutevar8x32_epi32(_mm256_load_si256((const __m256i *)(const void *)places), order);
}

/* Codes of 32 rows, for places in the same order. */
static inline apr_wide_line apr_wide_of_codes(const uint8_t *codes)
{
    return (apr_wide_line)apr_wide_ordered(codes);
}

/* From four bytes of each 32 numbers, eight at a time. */
static inline void apr_wide_numbers(const __m256i part[4], __m256i numbers[4])
{
    const __m256i low_01 = _mm256_unpacklo_epi8(part[0], part[1]);
    const __m256i low_23 = _mm256_unpacklo_epi8(part[2], part[3]);
    const __m256i high_01 = _mm256_unpackhi_epi8(part[0], part[1]);
    const __m256i high_23 = _mm256_unpackhi_epi8(part[2], part[3]);
    numbers[0] = _mm256_unpacklo_epi16(low_01, low_23);
    numbers[1] = _mm256_unpackhi_epi16(low_01, low_23);
    numbers[2] = _mm256_unpacklo_epi16(high_01, high_23);
    numbers[3] = _mm256_unpackhi_epi16(high_01, high_23);
}

#endif
