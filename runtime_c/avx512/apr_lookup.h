/* apr_lookup.h: functions of codes from tables of 256, for blocks of rows, 32 at once, with AVX-512 (BW). */
#ifndef APR_LOOKUP_H
#define APR_LOOKUP_H

#include "apr_lines.h"

#include <immintrin.h>

/* The values at 32 places of 64 of the table that begins where a line does. */
static inline __m512i apr_look_up_quarter(const int16_t *table, __m512i place)
{
    const __m512i first = _mm512_load_si512((const void *)table);
    return _mm512_permutex2var_epi16(first, place, _mm512_load_si512((const void *)&table[32]));
}

/* Codes of 8 bits in 16. */
static inline void apr_look_up_i16(const int16_t table[256], const int16_t *x, uint32_t n, int16_t *y)
{
    APR_LOOP(apr_look_up_i16, APR_IF_CONSTANT((n + 31U) / 32U));
    for (uint32_t i = 0U; i < n; i += 32U) {
        APR_BODY(apr_look_up_i16, APR_IF_CONSTANT((n + 31U) / 32U));
        const uint32_t left = n - i;
        const __mmask32 some = (left < 32U) ? ((UINT32_C(1) << left) - 1U) : UINT32_MAX;
        const __m512i place = _mm512_add_epi16(_mm512_maskz_loadu_epi16(some, &x[i]), _mm512_set1_epi16(128));
        const __mmask32 odd = _mm512_test_epi16_mask(place, _mm512_set1_epi16(64));
        const __mmask32 upper = _mm512_test_epi16_mask(place, _mm512_set1_epi16(128));
        const __m512i low = _mm512_mask_mov_epi16(
            apr_look_up_quarter(table, place), odd, apr_look_up_quarter(&table[64], place));
        const __m512i high = _mm512_mask_mov_epi16(
            apr_look_up_quarter(&table[128], place), odd, apr_look_up_quarter(&table[192], place));
        _mm512_mask_storeu_epi16(&y[i], some, _mm512_mask_mov_epi16(low, upper, high));
    }
}

#endif
