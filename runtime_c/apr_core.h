/* Integer arithmetic that cores do in different ways: this is the way of most; special folders hold others. */
#ifndef APR_CORE_H
#define APR_CORE_H

#include <stdint.h>

/* The upper 32 of the 48 bits of a product, floor(a * b / 2^16), by one long multiplication. */
static inline int32_t apr_product_upper(int32_t a, int16_t b)
{
    return (int32_t)(((int64_t)a * b) >> 16);
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

/* floor(2^31 / total), total not 0. */
static inline uint32_t apr_reciprocal(uint32_t total)
{
    return 0x80000000U / total;
}

#endif
