/* apr_lookup.h: functions of codes from tables of 256, for blocks of rows, with NEON. */
#ifndef APR_LOOKUP_H
#define APR_LOOKUP_H

#include "apr_lines.h"

#include <arm_neon.h>

/* n: a multiple of 4. What is outside of a table of 64 gives 0, or leaves what is there. */
static inline void apr_look_up_i8(const int8_t table[256], const int8_t *x, uint32_t n, int8_t *y)
{
    const int8x16x4_t first = vld1q_s8_x4(table);
    const int8x16x4_t second = vld1q_s8_x4(&table[64]);
    const int8x16x4_t third = vld1q_s8_x4(&table[128]);
    const int8x16x4_t fourth = vld1q_s8_x4(&table[192]);
    uint32_t i = 0U;
    APR_LOOP(apr_look_up_i8_whole, APR_IF_CONSTANT(n / 16U));
    for (; (n - i) >= 16U; i += 16U) {
        APR_BODY(apr_look_up_i8_whole, APR_IF_CONSTANT(n / 16U));
        const uint8x16_t code = veorq_u8(vreinterpretq_u8_s8(vld1q_s8(&x[i])), vdupq_n_u8(128U));
        int8x16_t found = vqtbl4q_s8(first, code);
        found = vqtbx4q_s8(found, second, vsubq_u8(code, vdupq_n_u8(64U)));
        found = vqtbx4q_s8(found, third, vsubq_u8(code, vdupq_n_u8(128U)));
        found = vqtbx4q_s8(found, fourth, vsubq_u8(code, vdupq_n_u8(192U)));
        vst1q_s8(&y[i], found);
    }
    APR_LOOP(apr_look_up_i8_rest, APR_IF_CONSTANT(n % 16U));
    for (; i < n; ++i) {
        APR_BODY(apr_look_up_i8_rest, APR_IF_CONSTANT(n % 16U));
        y[i] = table[(int32_t)x[i] + 128];
    }
}

#endif
