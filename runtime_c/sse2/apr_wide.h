/* apr_wide.h: what kernels for blocks of rows share, with SSE2, which every x86-64 has. */
#ifndef APR_WIDE_H
#define APR_WIDE_H

#include "apr_lines.h"

#include <emmintrin.h>

/* Keys of one column of the first 4 of n rows that are `stride` floats apart, in the order of the floats, both zeros
 * alike; `missing` in place of a NaN's. Of fewer than 4 rows the last key stands again. */
static inline void apr_wide_column(const float *x, uint32_t stride, uint32_t n, int32_t missing, int32_t keys[4])
{
    const float *const second = &x[(n > 1U) ? stride : 0U];
    const float *const third = (n > 2U) ? &second[stride] : second;
    const float *const fourth = (n > 3U) ? &third[stride] : third;
    const __m128 values = _mm_setr_ps(*x, *second, *third, *fourth);
    const __m128i bits = _mm_castps_si128(_mm_add_ps(values, _mm_setzero_ps())); /* -0 + 0 = +0 */
    const __m128i flip = _mm_srli_epi32(_mm_srai_epi32(bits, 31), 1); /* all but the sign, of negative ones */
    const __m128i nan = _mm_castps_si128(_mm_cmpunord_ps(values, values));
    const __m128i ordered = _mm_andnot_si128(nan, _mm_xor_si128(bits, flip));
    _mm_store_si128((__m128i *)(void *)keys, _mm_or_si128(ordered, _mm_and_si128(nan, _mm_set1_epi32(missing))));
}

/* How many of 16 thresholds are below a key. All bits of a lane are -1; not every x86-64 has an instruction that counts. */
static inline uint32_t apr_wide_below_16(const int32_t *thresholds, int32_t key)
{
    const __m128i wide = _mm_set1_epi32(key);
    const __m128i first = _mm_cmpgt_epi32(wide, _mm_load_si128((const __m128i *)(const void *)&thresholds[0]));
    const __m128i second = _mm_cmpgt_epi32(wide, _mm_load_si128((const __m128i *)(const void *)&thresholds[4]));
    const __m128i third = _mm_cmpgt_epi32(wide, _mm_load_si128((const __m128i *)(const void *)&thresholds[8]));
    const __m128i fourth = _mm_cmpgt_epi32(wide, _mm_load_si128((const __m128i *)(const void *)&thresholds[12]));
    const __m128i fours = _mm_add_epi32(_mm_add_epi32(first, second), _mm_add_epi32(third, fourth));
    const __m128i twos = _mm_add_epi32(fours, _mm_shuffle_epi32(fours, 0x4E));
    return 0U - (uint32_t)_mm_cvtsi128_si32(_mm_add_epi32(twos, _mm_shuffle_epi32(twos, 0xB1)));
}

#endif
