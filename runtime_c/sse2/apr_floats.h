/* apr_floats.h: vectors of floats for blocks of rows, with SSE2, which every x86-64 has. Every operation rounds once. */
#ifndef APR_FLOATS_H
#define APR_FLOATS_H

#include "apr_lines.h"

#include <emmintrin.h>

typedef __m128 apr_floats;
typedef __m128i apr_places;

static inline apr_floats apr_floats_all(float value)
{
    return _mm_set1_ps(value);
}

/* Of a table or buffer that begins where a line does. */
static inline apr_floats apr_floats_load(const float *x)
{
    return _mm_load_ps(x);
}

/* Those that stand there, wherever that is. */
static inline apr_floats apr_floats_at(const float *x)
{
    return _mm_loadu_ps(x);
}

static inline void apr_floats_store(float *y, apr_floats values)
{
    _mm_storeu_ps(y, values);
}

/* The first n of them; n is 1 to 4. */
static inline void apr_floats_store_first(float *y, uint32_t n, apr_floats values)
{
    if (n == 4U) {
        _mm_storeu_ps(y, values);
    } else if (n == 1U) {
        _mm_store_ss(y, values);
    } else {
        _mm_storel_epi64((__m128i *)(void *)y, _mm_castps_si128(values));
        if (n == 3U) {
            _mm_store_ss(&y[2], _mm_movehl_ps(values, values));
        }
    }
}

static inline apr_floats apr_floats_add(apr_floats sum, apr_floats more)
{
    return _mm_add_ps(sum, more);
}

static inline apr_floats apr_floats_add_product(apr_floats sum, apr_floats x, apr_floats weight)
{
    return _mm_add_ps(sum, _mm_mul_ps(x, weight));
}

static inline apr_floats apr_floats_add_square(apr_floats sum, apr_floats x, apr_floats point)
{
    const apr_floats d = _mm_sub_ps(x, point);
    return _mm_add_ps(sum, _mm_mul_ps(d, d));
}

/* +0 in place of a NaN and of -0: the instruction gives its second operand then. */
static inline apr_floats apr_floats_relu(apr_floats values)
{
    return _mm_max_ps(values, _mm_setzero_ps());
}

/* `best` where the value is a NaN. */
static inline apr_floats apr_floats_least(apr_floats values, apr_floats best)
{
    return _mm_min_ps(values, best);
}

static inline apr_places apr_places_all(int32_t place)
{
    return _mm_set1_epi32(place);
}

static inline apr_places apr_places_if_below(apr_places places, int32_t place, apr_floats values, apr_floats best)
{
    const __m128i below = _mm_castps_si128(_mm_cmplt_ps(values, best));
    return _mm_or_si128(_mm_and_si128(below, _mm_set1_epi32(place)), _mm_andnot_si128(below, places));
}

static inline void apr_places_store(int32_t *y, apr_places places)
{
    _mm_storeu_si128((__m128i *)(void *)y, places);
}

/* Rows of four to columns of four, and back. */
static inline void apr_floats_turn(apr_floats v[4])
{
    const __m128 low01 = _mm_unpacklo_ps(v[0], v[1]);
    const __m128 high01 = _mm_unpackhi_ps(v[0], v[1]);
    const __m128 low23 = _mm_unpacklo_ps(v[2], v[3]);
    const __m128 high23 = _mm_unpackhi_ps(v[2], v[3]);
    v[0] = _mm_movelh_ps(low01, low23);
    v[1] = _mm_movehl_ps(low23, low01);
    v[2] = _mm_movelh_ps(high01, high23);
    v[3] = _mm_movehl_ps(high23, high01);
}

/* Four columns of 4 rows that are `stride` floats apart. */
static inline void apr_floats_turned(const float *x, uint32_t stride, apr_floats to[4])
{
    to[0] = _mm_loadu_ps(x);
    to[1] = _mm_loadu_ps(&x[stride]);
    to[2] = _mm_loadu_ps(&x[2U * stride]);
    to[3] = _mm_loadu_ps(&x[3U * stride]);
    apr_floats_turn(to);
}

/* The same, multiplied by the weights of their columns before they are turned. */
static inline void apr_floats_products_turned(const float *x, uint32_t stride, const float weights[4], apr_floats to[4])
{
    const __m128 w = _mm_loadu_ps(weights);
    to[0] = _mm_mul_ps(_mm_loadu_ps(x), w);
    to[1] = _mm_mul_ps(_mm_loadu_ps(&x[stride]), w);
    to[2] = _mm_mul_ps(_mm_loadu_ps(&x[2U * stride]), w);
    to[3] = _mm_mul_ps(_mm_loadu_ps(&x[3U * stride]), w);
    apr_floats_turn(to);
}

/* One column of 4 rows. */
static inline apr_floats apr_floats_column(const float *x, uint32_t stride)
{
    return _mm_setr_ps(x[0], x[stride], x[2U * stride], x[3U * stride]);
}

/* n columns, 1 to 4, of 4 rows that are `stride` floats apart. */
static inline void apr_floats_store_turned(
    float *y, uint32_t stride, uint32_t n, apr_floats a, apr_floats b, apr_floats c, apr_floats d)
{
    apr_floats v[4];
    v[0] = a;
    v[1] = b;
    v[2] = c;
    v[3] = d;
    apr_floats_turn(v);
    apr_floats_store_first(y, n, v[0]);
    apr_floats_store_first(&y[stride], n, v[1]);
    apr_floats_store_first(&y[2U * stride], n, v[2]);
    apr_floats_store_first(&y[3U * stride], n, v[3]);
}

/* What is read soon: n floats behind x, wherever that is. */
static inline void apr_floats_ahead(const float *x, uint32_t n)
{
    _mm_prefetch((const char *)((uintptr_t)x + (4U * (uintptr_t)n)), _MM_HINT_T0);
}

#endif
