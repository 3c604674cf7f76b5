/* apr_floats.h: vectors of floats for blocks of rows, with SIMD128 of WebAssembly. Every operation rounds once. */
#ifndef APR_FLOATS_H
#define APR_FLOATS_H

#include "apr_lines.h"

#include <wasm_simd128.h>

typedef v128_t apr_floats;
typedef v128_t apr_places;

static inline apr_floats apr_floats_all(float value)
{
    return wasm_f32x4_splat(value);
}

/* Of a table or buffer that begins where a line does. */
static inline apr_floats apr_floats_load(const float *x)
{
    return wasm_v128_load(x);
}

/* Those that stand there, wherever that is. */
static inline apr_floats apr_floats_at(const float *x)
{
    return wasm_v128_load(x);
}

static inline void apr_floats_store(float *y, apr_floats values)
{
    wasm_v128_store(y, values);
}

/* The first n of them; n is 1 to 4. */
static inline void apr_floats_store_first(float *y, uint32_t n, apr_floats values)
{
    if (n == 4U) {
        wasm_v128_store(y, values);
    } else if (n == 1U) {
        wasm_v128_store32_lane(y, values, 0);
    } else {
        wasm_v128_store64_lane(y, values, 0);
        if (n == 3U) {
            wasm_v128_store32_lane(&y[2], values, 2);
        }
    }
}

/* The same place, known here and not before: what is read by it has its offset in the instruction. A compiler that steps
 * a pointer for each of them adds for each of them. */
static inline const float *apr_floats_here(const float *x)
{
    __asm__("" : "+r"(x));
    return x;
}

static inline apr_floats apr_floats_add(apr_floats sum, apr_floats more)
{
    return wasm_f32x4_add(sum, more);
}

static inline apr_floats apr_floats_add_product(apr_floats sum, apr_floats x, apr_floats weight)
{
    return wasm_f32x4_add(sum, wasm_f32x4_mul(x, weight));
}

static inline apr_floats apr_floats_add_square(apr_floats sum, apr_floats x, apr_floats point)
{
    const apr_floats d = wasm_f32x4_sub(x, point);
    return wasm_f32x4_add(sum, wasm_f32x4_mul(d, d));
}

/* +0 in place of a NaN and of -0: pmax gives its first operand unless that is less than the second. */
static inline apr_floats apr_floats_relu(apr_floats values)
{
    return wasm_f32x4_pmax(wasm_f32x4_const_splat(0.0F), values);
}

/* `best` where the value is a NaN: pmin gives its first operand unless the second is less. */
static inline apr_floats apr_floats_least(apr_floats values, apr_floats best)
{
    return wasm_f32x4_pmin(best, values);
}

static inline apr_places apr_places_all(int32_t place)
{
    return wasm_i32x4_splat(place);
}

static inline apr_places apr_places_if_below(apr_places places, int32_t place, apr_floats values, apr_floats best)
{
    return wasm_v128_bitselect(wasm_i32x4_splat(place), places, wasm_f32x4_lt(values, best));
}

static inline void apr_places_store(int32_t *y, apr_places places)
{
    wasm_v128_store(y, places);
}

/* Rows of four to columns of four, and back. */
static inline void apr_floats_turn(apr_floats v[4])
{
    const v128_t low01 = wasm_i32x4_shuffle(v[0], v[1], 0, 4, 1, 5);
    const v128_t high01 = wasm_i32x4_shuffle(v[0], v[1], 2, 6, 3, 7);
    const v128_t low23 = wasm_i32x4_shuffle(v[2], v[3], 0, 4, 1, 5);
    const v128_t high23 = wasm_i32x4_shuffle(v[2], v[3], 2, 6, 3, 7);
    v[0] = wasm_i64x2_shuffle(low01, low23, 0, 2);
    v[1] = wasm_i64x2_shuffle(low01, low23, 1, 3);
    v[2] = wasm_i64x2_shuffle(high01, high23, 0, 2);
    v[3] = wasm_i64x2_shuffle(high01, high23, 1, 3);
}

/* Four columns of 4 rows that are `stride` floats apart. */
static inline void apr_floats_turned(const float *x, uint32_t stride, apr_floats to[4])
{
    to[0] = wasm_v128_load(x);
    to[1] = wasm_v128_load(&x[stride]);
    to[2] = wasm_v128_load(&x[2U * stride]);
    to[3] = wasm_v128_load(&x[3U * stride]);
    apr_floats_turn(to);
}

/* The same, multiplied by the weights of their columns before they are turned. */
static inline void apr_floats_products_turned(const float *x, uint32_t stride, const float weights[4], apr_floats to[4])
{
    const v128_t w = wasm_v128_load(weights);
    to[0] = wasm_f32x4_mul(wasm_v128_load(x), w);
    to[1] = wasm_f32x4_mul(wasm_v128_load(&x[stride]), w);
    to[2] = wasm_f32x4_mul(wasm_v128_load(&x[2U * stride]), w);
    to[3] = wasm_f32x4_mul(wasm_v128_load(&x[3U * stride]), w);
    apr_floats_turn(to);
}

/* One column of 4 rows. */
static inline apr_floats apr_floats_column(const float *x, uint32_t stride)
{
    return wasm_f32x4_make(x[0], x[stride], x[2U * stride], x[3U * stride]);
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

/* What is read soon: n floats behind x. WebAssembly has no instruction for it. */
static inline void apr_floats_ahead(const float *x, uint32_t n)
{
    (void)x;
    (void)n;
}

#endif
