/* apr_rt.h: what every generated model needs: status codes, and checks on the compiler and on values.
 *
 * C99, freestanding. Generated code relies on IEEE 754 single precision with one rounding per operation. */
#ifndef APR_RT_H
#define APR_RT_H

#include "apr_mark.h"

#include <float.h>
#include <stddef.h>
#include <stdint.h>

#define APR_RT_VERSION 1

#if defined(__FAST_MATH__)
#error "this code is exact: compile it without -ffast-math"
#endif
#if (FLT_RADIX != 2) || (FLT_MANT_DIG != 24) || (FLT_MAX_EXP != 128)
#error "float must be IEEE 754 binary32"
#endif
#if defined(FLT_EVAL_METHOD) && (FLT_EVAL_METHOD != 0)
#error "float operations must round to float: on 32-bit x86 compile with -msse2 -mfpmath=sse"
#endif
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF /* gcc: -ffp-contract=off, or any -std=c99 or -std=c11 */
#endif

/* Large functions of the runtime: inline in the file of one model, where a kernel or two call them. A bundle, whose models
 * share them, says otherwise. */
#ifndef APR_LARGE
#define APR_LARGE static inline
#endif

#define APR_INFINITY (__builtin_inff())
#define APR_NAN (__builtin_nanf(""))

typedef enum {
    APR_OK = 0,
    APR_E_DIMENSION = 1,  /* the number of inputs is not the model's, or there is no input */
    APR_E_BUFFER = 2,     /* the output buffer is missing or too small */
    APR_E_NOT_FINITE = 3, /* an input or an output is NaN or infinite */
    APR_E_ENCODING = 4,   /* a text is no valid UTF-8 */
    APR_E_MODEL = 5       /* a bundle has no such model, or the model has no such function */
} apr_status;

/* The bits of a float, and back; a union is how C99 spells it. */
static inline uint32_t apr_bits(float value)
{
    union {
        float f;
        uint32_t u;
    } pun;
    pun.f = value;
    return pun.u;
}

static inline float apr_from_bits(uint32_t bits)
{
    union {
        uint32_t u;
        float f;
    } pun;
    pun.u = bits;
    return pun.f;
}

/* 1 when no value is NaN or infinite; integer operations only. */
static inline int apr_all_finite(const float *values, size_t n)
{
    int finite = 1;
    APR_LOOP(apr_all_finite, APR_IF_CONSTANT(n));
    for (size_t i = 0U; i < n; ++i) {
        APR_BODY(apr_all_finite, APR_IF_CONSTANT(n));
        if ((apr_bits(values[i]) & 0x7F800000U) == 0x7F800000U) {
            finite = 0;
        }
    }
    return finite;
}

/* An integer with the order of floats: a <= b exactly when key(a) <= key(b). Both zeros have key 0; a NaN has the
 * largest key, so it compares above every number. No floating-point operation. */
static inline int32_t apr_float_key(float value)
{
    const uint32_t bits = apr_bits(value);
    const uint32_t magnitude = bits & 0x7FFFFFFFU;
    int32_t key = (int32_t)magnitude;
    if (magnitude > 0x7F800000U) {
        key = INT32_MAX;
    } else if (bits > 0x80000000U) {
        key = -1 - (int32_t)magnitude; /* magnitude <= 0x7F800000: no overflow */
    } else if (bits == 0x80000000U) {
        key = 0;
    } else {
        /* positive: the magnitude orders itself */
    }
    return key;
}

#endif
