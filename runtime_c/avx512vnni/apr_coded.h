/* apr_coded.h: columns of rows as codes of 16 bits, and which of a few sums of products with them is the least, with
 * AVX-512 VNNI. Sums are exact; rows whose codes are cut, or are none, are in doubt. */
#ifndef APR_CODED_H
#define APR_CODED_H

#include "apr_dots.h"
#include "apr_maps.h"

/* More is not the sum of squares of codes none of which was cut: that is 32767^2 = 2^30 - 65535 at least. */
#define APR_CODED_SQUARES ((1 << 30) - (1 << 17))

/* Of eight columns, for both halves of a vector. */
static inline apr_floats apr_coded_shifts(const float *shifts)
{
    return _mm512_broadcast_f32x8(_mm256_loadu_ps(shifts));
}

/* Eight columns of a row and of the fourth behind it, as integers. A shift brings floats to where their last bits count
 * what a code counts, from `zero` on; what was further away, or is no number, is far from `zero` as an integer, too. */
static inline __m512i apr_coded_two(const float *x, uint32_t stride, apr_floats shifts, int32_t zero)
{
    const __m512 first = _mm512_castps256_ps512(_mm256_loadu_ps(x));
    const __m512 both = _mm512_insertf32x8(first, _mm256_loadu_ps(&x[4U * stride]), 1);
    return _mm512_sub_epi32(_mm512_castps_si512(_mm512_add_ps(both, shifts)), _mm512_set1_epi32(zero));
}

/* Eight columns of a row and of the first, fourth and fifth behind it, cut to 16 bits. */
static inline apr_codes apr_coded_four(const float *x, uint32_t stride, apr_floats shifts, int32_t zero)
{
    return _mm512_packs_epi32(
        apr_coded_two(x, stride, shifts, zero), apr_coded_two(&x[stride], stride, shifts, zero));
}

/* Of the four pairs in each quarter of two vectors the first and the third of a, then those of b. */
static inline apr_codes apr_coded_even(apr_codes a, apr_codes b)
{
    return _mm512_castps_si512(_mm512_shuffle_ps(_mm512_castsi512_ps(a), _mm512_castsi512_ps(b), 0x88));
}

/* The second and the fourth. */
static inline apr_codes apr_coded_odd(apr_codes a, apr_codes b)
{
    return _mm512_castps_si512(_mm512_shuffle_ps(_mm512_castsi512_ps(a), _mm512_castsi512_ps(b), 0xDD));
}

/* Eight columns of 16 rows, as they are from the rows 0, 2, 8 and 10 on: the first two of each row, the next two, and so
 * on. */
static inline void apr_coded_turn(const apr_codes from[4], apr_codes to[4])
{
    const __m512i even = apr_coded_even(from[0], from[1]);
    const __m512i odd = apr_coded_odd(from[0], from[1]);
    const __m512i later_even = apr_coded_even(from[2], from[3]);
    const __m512i later_odd = apr_coded_odd(from[2], from[3]);
    to[0] = _mm512_shuffle_i32x4(even, later_even, 0x88);
    to[1] = _mm512_shuffle_i32x4(odd, later_odd, 0x88);
    to[2] = _mm512_shuffle_i32x4(even, later_even, 0xDD);
    to[3] = _mm512_shuffle_i32x4(odd, later_odd, 0xDD);
}

static inline apr_sums apr_coded_all(int32_t sum)
{
    return (apr_sums)_mm512_set1_epi32(sum);
}

/* A sum that is too large stays the largest. */
static inline apr_sums apr_coded_add_squares(apr_sums sums, apr_codes x)
{
    return (apr_sums)_mm512_dpwssds_epi32((__m512i)sums, x, x);
}

/* With a place below 16 in the last four bits. */
static inline apr_sums apr_coded_placed(apr_sums sums, int32_t place)
{
    return (apr_sums)_mm512_ternarylogic_epi32(
        _mm512_set1_epi32(15), (__m512i)sums, _mm512_set1_epi32(place), 0xAC);
}

static inline apr_sums apr_coded_least(apr_sums a, apr_sums b)
{
    return (apr_sums)_mm512_min_epi32((__m512i)a, (__m512i)b);
}

static inline apr_sums apr_coded_most(apr_sums a, apr_sums b)
{
    return (apr_sums)_mm512_max_epi32((__m512i)a, (__m512i)b);
}

static inline apr_places apr_coded_places(apr_sums placed)
{
    return _mm512_and_si512((__m512i)placed, _mm512_set1_epi32(15));
}

/* A bit for each row: 1 where the next sum is not above the best by what errors can be, or codes may have been cut. */
static inline uint32_t apr_coded_doubt(
    apr_sums best, apr_sums next, apr_sums squares, float of_codes, float of_root, float of_square)
{
    const __m512 square = _mm512_cvtepi32_ps((__m512i)squares);
    const __m512 plain = _mm512_fmadd_ps(square, _mm512_set1_ps(of_square), _mm512_set1_ps(of_codes));
    const __m512 error = _mm512_fmadd_ps(_mm512_sqrt_ps(square), _mm512_set1_ps(of_root), plain);
    const __m512 apart = _mm512_cvtepi32_ps(_mm512_sub_epi32((__m512i)next, (__m512i)best));
    const __mmask16 close = _mm512_cmp_ps_mask(apart, error, _CMP_NGE_UQ);
    return (uint32_t)close | (uint32_t)_mm512_cmpgt_epi32_mask((__m512i)squares, _mm512_set1_epi32(APR_CODED_SQUARES));
}

/* Behind n rows of a list those with a bit, from `row` on, and how many there are then. 16 places are written. */
static inline uint32_t apr_coded_listed(uint32_t *list, uint32_t n, uint32_t row, uint32_t bits)
{
    const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const __m512i rows = _mm512_add_epi32(lane, _mm512_set1_epi32((int32_t)row));
    _mm512_storeu_si512((void *)&list[n], _mm512_maskz_compress_epi32((__mmask16)bits, rows));
    return n + (uint32_t)__builtin_popcount(bits);
}

/* A column of the first n points, 1 to 16, and zeros. */
static inline apr_floats apr_coded_points(const float *points, uint32_t n)
{
    return _mm512_maskz_loadu_ps((__mmask16)(0xFFFFU >> (16U - n)), points);
}

/* The place of the least of n values, 1 to 16; the first of some, 0 where none is below infinity. */
static inline int32_t apr_coded_nearest(apr_floats values, uint32_t n)
{
    const __mmask16 some = (__mmask16)(0xFFFFU >> (16U - n));
    const __mmask16 below = _mm512_mask_cmp_ps_mask(some, values, _mm512_set1_ps(APR_INFINITY), _CMP_LT_OQ);
    if (below == 0U) {
        return 0;
    }
    const float least = _mm512_mask_reduce_min_ps(below, values);
    return (int32_t)apr_lowest_bit((uint32_t)_mm512_mask_cmp_ps_mask(below, values, _mm512_set1_ps(least), _CMP_EQ_OQ));
}

#endif
