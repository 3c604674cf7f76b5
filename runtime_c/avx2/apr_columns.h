/* apr_columns.h: sums of codes with columns in the lanes of vectors, with AVX2. */
#ifndef APR_COLUMNS_H
#define APR_COLUMNS_H

#include "apr_sums.h"

/* 16 codes of 8 bits, as 16. */
static inline apr_codes apr_columns_i16_of_i8(const int8_t *x)
{
    return _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)x));
}

/* 16 codes of 16 bits. */
static inline apr_codes apr_columns_i16_of_i16(const int16_t *x)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)x);
}

/* Two products a sum, of codes that lie beside each other. */
static inline apr_sums apr_columns_add_i16(apr_sums sums, apr_codes x, apr_codes weights)
{
    return apr_sums_add_i16(sums, x, weights);
}

/* Fetches what will be read, so many bytes further on; whether anything is there or not, it does no harm. */
static inline void apr_columns_expect(const void *x, uint32_t bytes)
{
    _mm_prefetch((const char *)((uintptr_t)x + bytes), _MM_HINT_T0);
}

/* One product a sum. Weights have zeros above them, so what a code's sign puts there counts nothing. */
static inline apr_sums apr_sums_add_each_i16(apr_sums sums, apr_sums codes, const int16_t *weights)
{
    const __m256i w = _mm256_cvtepu16_epi32(_mm_load_si128((const __m128i *)(const void *)weights));
    return apr_sums_add_i16(sums, (apr_codes)codes, w);
}

/* In the first lane; zeros in others. */
static inline apr_sums apr_sums_one(int32_t sum)
{
    return (apr_sums)_mm256_setr_epi32(sum, 0, 0, 0, 0, 0, 0, 0);
}

/* Of all lanes, modulo 2^32. */
static inline int32_t apr_sums_total(apr_sums sums)
{
    const __m128i upper = _mm256_extracti128_si256((__m256i)sums, 1);
    const __m128i four = _mm_add_epi32(_mm256_castsi256_si128((__m256i)sums), upper);
    const __m128i two = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4E));
    return _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, 0xB1)));
}

#endif
