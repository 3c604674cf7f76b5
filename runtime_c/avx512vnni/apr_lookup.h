/* apr_lookup.h: functions of codes from tables of 256, for blocks of rows, 64 at once, with AVX-512 VBMI. */
#ifndef APR_LOOKUP_H
#define APR_LOOKUP_H

#include "apr_lines.h"

#include <immintrin.h>

/* Codes plus 128; the table and y begin where a line does, and y has room for whole vectors of 16. n: a multiple of 16. */
static inline void apr_look_up_u8(const uint8_t table[256], const uint8_t *x, uint32_t n, uint8_t *y)
{
    const __m512i first = _mm512_load_si512((const void *)table);
    const __m512i second = _mm512_load_si512((const void *)&table[64]);
    const __m512i third = _mm512_load_si512((const void *)&table[128]);
    const __m512i fourth = _mm512_load_si512((const void *)&table[192]);
    APR_LOOP(apr_look_up_u8, APR_IF_CONSTANT((n + 63U) / 64U));
    for (uint32_t i = 0U; i < n; i += 64U) {
        APR_BODY(apr_look_up_u8, APR_IF_CONSTANT((n + 63U) / 64U));
        const uint32_t left = n - i;
        const __mmask64 some = (left < 64U) ? ((UINT64_C(1) << left) - 1U) : UINT64_MAX;
        const __m512i code = _mm512_maskz_loadu_epi8(some, &x[i]);
        const __m512i low = _mm512_permutex2var_epi8(first, code, second);
        const __m512i high = _mm512_permutex2var_epi8(third, code, fourth);
        _mm512_mask_storeu_epi8(&y[i], some, _mm512_mask_mov_epi8(low, _mm512_movepi8_mask(code), high));
    }
}

#endif
