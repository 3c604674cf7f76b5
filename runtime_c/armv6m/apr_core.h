/* Integer arithmetic for cores that multiply 32 bits by 32 to 32 bits (Armv6-M). */
#ifndef APR_CORE_H
#define APR_CORE_H

#include "apr_mark.h"

#include <stdint.h>

/* The upper 32 of the 48 bits of a product, floor(a * b / 2^16), for b in [0, 2^15): by the halves of a. The lower
 * half's product is below 2^31, and floor(x + n) = floor(x) + n. */
static inline int32_t apr_product_upper(int32_t a, int16_t b)
{
    const uint32_t lower = ((uint32_t)a & 0xFFFFU) * (uint32_t)b;
    return ((a >> 16) * b) + (int32_t)(lower >> 16);
}

/* Cut to what 8 or 16 bits hold. */
static inline int32_t apr_saturated8(int32_t value)
{
    const int32_t low = (value < -128) ? -128 : value;
    return (low > 127) ? 127 : low;
}

static inline int32_t apr_saturated16(int32_t value)
{
    const int32_t low = (value < -32768) ? -32768 : value;
    return (low > 32767) ? 32767 : low;
}

/* sums of three rows + one number of 8 bits times three weights without sign, which lie one behind the other. These
 * cores load bytes with sign from a sum of two registers only; this way registers are left for the sums. One block,
 * since a compiler that schedules the three loads together runs out of registers. */
static inline void apr_three_products(const int8_t *x, const uint8_t *weights, uint32_t sums[3])
{
    uint32_t factor;
    uint32_t product;
    __asm__(".syntax unified\n\t"
            "ldrb %[factor], %[x]\n\t"
            "sxtb %[factor], %[factor]\n\t"
            "ldrb %[product], %[w0]\n\t"
            "muls %[product], %[factor], %[product]\n\t"
            "adds %[a0], %[a0], %[product]\n\t"
            "ldrb %[product], %[w1]\n\t"
            "muls %[product], %[factor], %[product]\n\t"
            "adds %[a1], %[a1], %[product]\n\t"
            "ldrb %[product], %[w2]\n\t"
            "muls %[product], %[factor], %[product]\n\t"
            "adds %[a2], %[a2], %[product]"
            : [a0] "+l"(sums[0]), [a1] "+l"(sums[1]), [a2] "+l"(sums[2]), [factor] "=&l"(factor), [product] "=&l"(product)
            : [x] "m"(*x), [w0] "m"(weights[0]), [w1] "m"(weights[1]), [w2] "m"(weights[2])
            : "cc");
}

/* floor(2^31 / total) for total in [2^14 + 1, 2^31]: 17 bits of it, one in each step, since there is no division and
 * that of the library is a loop that nothing bounds. The rest is below total, so its double fits. */
static inline uint32_t apr_reciprocal(uint32_t total)
{
    uint32_t rest = 0x4000U;
    uint32_t quotient = 0U;
    APR_LOOP(apr_reciprocal_bits, 17U);
    for (uint32_t i = 0U; i < 17U; ++i) {
        APR_BODY(apr_reciprocal_bits, 17U);
        rest <<= 1;
        quotient <<= 1;
        if (rest >= total) {
            rest -= total;
            ++quotient;
        }
    }
    return quotient;
}

#endif
