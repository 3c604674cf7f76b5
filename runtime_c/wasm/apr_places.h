/* apr_places.h: what steps between sums of codes ask of vectors of integers beside apr_maps.h, with SIMD128 of WebAssembly. */
#ifndef APR_PLACES_H
#define APR_PLACES_H

#include "apr_maps.h"
#include "apr_sums.h"

/* ---- Integers of 32 bits ---------------------------------------------------------------------------------------- */

/* By n below 32; the sign is shifted in. */
static inline apr_places apr_places_shifted(apr_places a, uint32_t n)
{
    return wasm_i32x4_shr(a, n);
}

/* Without their signs. */
static inline apr_places apr_places_size(apr_places a)
{
    return wasm_i32x4_abs(a);
}

/* Of numbers without a sign. */
static inline apr_places apr_places_least(apr_places a, apr_places b)
{
    return wasm_u32x4_min(a, b);
}

static inline apr_floats apr_floats_of_codes(apr_places codes)
{
    return wasm_f32x4_convert_i32x4(codes);
}

/* Four words of 4 rows that are `stride` words apart, of whatever type. */
static inline void apr_places_turned(const void *x, uint32_t stride, apr_places to[4])
{
    const apr_word *const own = x;
    to[0] = wasm_v128_load(own);
    to[1] = wasm_v128_load(&own[stride]);
    to[2] = wasm_v128_load(&own[2U * stride]);
    to[3] = wasm_v128_load(&own[3U * stride]);
    apr_floats_turn(to);
}

/* The same back. */
static inline void apr_places_store_turned(int32_t *y, uint32_t stride, apr_places v[4])
{
    apr_floats_turn(v);
    wasm_v128_store(y, v[0]);
    wasm_v128_store(&y[stride], v[1]);
    wasm_v128_store(&y[2U * stride], v[2]);
    wasm_v128_store(&y[3U * stride], v[3]);
}

/* ---- Codes of 16 bits -------------------------------------------------------------------------------------------- */

static inline apr_places apr_places_load_i16(const int16_t *x)
{
    return wasm_i32x4_load16x4(x);
}

static inline void apr_places_store_i16(int16_t *y, apr_places codes)
{
    apr_sums_store_i16(y, codes);
}

/* Squares of differences of two codes beside each other, of 8 bits, so that none leaves 16. */
static inline apr_places apr_places_add_squares(apr_places sums, apr_places x, apr_places point)
{
    return apr_sums_add_square_i16(sums, x, point);
}

/* Their sizes. */
static inline apr_places apr_places_add_sizes(apr_places sums, apr_places x, apr_places point)
{
    const v128_t apart = wasm_i16x8_abs(wasm_i16x8_sub(x, point));
    return wasm_i32x4_add(sums, wasm_i32x4_extadd_pairwise_i16x8(apart));
}

/* Two entries of a table, from each place on: the first one is low. */
static inline apr_places apr_pairs_at(const void *table, apr_places at)
{
    const int16_t *const own = table;
    v128_t pairs = wasm_v128_load32_zero(&own[wasm_i32x4_extract_lane(at, 0)]);
    pairs = wasm_v128_load32_lane(&own[wasm_i32x4_extract_lane(at, 1)], pairs, 1);
    pairs = wasm_v128_load32_lane(&own[wasm_i32x4_extract_lane(at, 2)], pairs, 2);
    return wasm_v128_load32_lane(&own[wasm_i32x4_extract_lane(at, 3)], pairs, 3);
}

/* The products of both entries, added up. */
static inline apr_places apr_pairs_dot(apr_places pairs, apr_places weights)
{
    return wasm_i32x4_dot_i16x8(pairs, weights);
}

#endif
