/* apr_lookup.h: functions of codes from tables of 256, for blocks of rows: one by one; special folders hold others. */
#ifndef APR_LOOKUP_H
#define APR_LOOKUP_H

#include "apr_lines.h"

/* Codes plus 128. */
static inline void apr_look_up_u8(const uint8_t table[256], const uint8_t *x, uint32_t n, uint8_t *y)
{
    APR_LOOP(apr_look_up_u8, APR_IF_CONSTANT(n));
    for (uint32_t i = 0U; i < n; ++i) {
        APR_BODY(apr_look_up_u8, APR_IF_CONSTANT(n));
        y[i] = table[x[i]];
    }
}

static inline void apr_look_up_i8(const int8_t table[256], const int8_t *x, uint32_t n, int8_t *y)
{
    APR_LOOP(apr_look_up_i8, APR_IF_CONSTANT(n));
    for (uint32_t i = 0U; i < n; ++i) {
        APR_BODY(apr_look_up_i8, APR_IF_CONSTANT(n));
        y[i] = table[(int32_t)x[i] + 128];
    }
}

/* Codes of 8 bits in 16. */
static inline void apr_look_up_i16(const int16_t table[256], const int16_t *x, uint32_t n, int16_t *y)
{
    APR_LOOP(apr_look_up_i16, APR_IF_CONSTANT(n));
    for (uint32_t i = 0U; i < n; ++i) {
        APR_BODY(apr_look_up_i16, APR_IF_CONSTANT(n));
        y[i] = table[(int32_t)x[i] + 128];
    }
}

#endif
