/* Integer arithmetic by single instructions of the DSP extension of Armv7E-M and Armv8-M (Cortex-M4, M7, M33, M55).
 * Assembly, since gcc 12 lacks some of the intrinsics and does not fold the rotation into the extension. */
#ifndef APR_CORE_H
#define APR_CORE_H

#include <stdint.h>

/* The upper 32 of the 48 bits of a product, floor(a * b / 2^16). */
static inline int32_t apr_product_upper(int32_t a, int16_t b)
{
    int32_t upper;
    __asm__("smulwb %0, %1, %2" : "=r"(upper) : "r"(a), "r"(b));
    return upper;
}

/* Four bytes in one load; these cores load words from any address. */
static inline uint32_t apr_four_bytes(const int8_t *bytes)
{
    uint32_t word;
    __builtin_memcpy(&word, bytes, sizeof word);
    return word;
}

/* Two numbers of 16 bits in one load. */
static inline uint32_t apr_two_halves(const int16_t *halves)
{
    uint32_t word;
    __builtin_memcpy(&word, halves, sizeof word);
    return word;
}

/* Bytes 0 and 2, or 1 and 3, as two numbers of 16 bits. */
static inline uint32_t apr_even_bytes(uint32_t word)
{
    uint32_t halves;
    __asm__("sxtb16 %0, %1" : "=r"(halves) : "r"(word));
    return halves;
}

static inline uint32_t apr_odd_bytes(uint32_t word)
{
    uint32_t halves;
    __asm__("sxtb16 %0, %1, ror #8" : "=r"(halves) : "r"(word));
    return halves;
}

/* acc + the products of four weights, in bytes at any address, with four numbers: even has the first and the third,
 * odd the second and the fourth. The sum must stay within 32 bits. One block, so that a compiler that schedules it
 * does not run out of registers. */
static inline int32_t apr_four_products(const int8_t *weights, uint32_t even, uint32_t odd, int32_t acc)
{
    uint32_t low;
    uint32_t high;
    __asm__("ldr %[high], %[weights]\n\t"
            "sxtb16 %[low], %[high]\n\t"
            "smlad %[acc], %[low], %[even], %[acc]\n\t"
            "sxtb16 %[high], %[high], ror #8\n\t"
            "smlad %[acc], %[high], %[odd], %[acc]"
            : [acc] "+r"(acc), [low] "=&r"(low), [high] "=&r"(high)
            : [even] "r"(even), [odd] "r"(odd), [weights] "m"(*(const int8_t(*)[4])weights));
    return acc;
}

/* acc + the products of two weights with two numbers of 16 bits; the sum must stay within 32 bits. */
static inline int32_t apr_two_products(const int16_t *weights, uint32_t halves, int32_t acc)
{
    uint32_t pair;
    __asm__("ldr %[pair], %[weights]\n\t"
            "smlad %[acc], %[pair], %[halves], %[acc]"
            : [acc] "+r"(acc), [pair] "=&r"(pair)
            : [halves] "r"(halves), [weights] "m"(*(const int16_t(*)[2])weights));
    return acc;
}

/* acc + two products, of numbers at any address; the sum must stay within 32 bits. One block each, for the same reason:
 * sums that are written out would have all their numbers loaded first. */
static inline int32_t apr_two_products_at(const int16_t *weights, const int16_t *x, int32_t acc)
{
    uint32_t pair;
    uint32_t halves;
    __asm__("ldr %[halves], %[x]\n\t"
            "ldr %[pair], %[weights]\n\t"
            "smlad %[acc], %[pair], %[halves], %[acc]"
            : [acc] "+r"(acc), [pair] "=&r"(pair), [halves] "=&r"(halves)
            : [x] "m"(*(const int16_t(*)[2])x), [weights] "m"(*(const int16_t(*)[2])weights));
    return acc;
}

/* acc + four products of bytes. */
static inline int32_t apr_four_products_at(const int8_t *weights, const int8_t *x, int32_t acc)
{
    uint32_t even;
    uint32_t odd;
    uint32_t low;
    uint32_t high;
    __asm__("ldr %[odd], %[x]\n\t"
            "ldr %[high], %[weights]\n\t"
            "sxtb16 %[even], %[odd]\n\t"
            "sxtb16 %[low], %[high]\n\t"
            "smlad %[acc], %[low], %[even], %[acc]\n\t"
            "sxtb16 %[odd], %[odd], ror #8\n\t"
            "sxtb16 %[high], %[high], ror #8\n\t"
            "smlad %[acc], %[high], %[odd], %[acc]"
            : [acc] "+r"(acc), [low] "=&r"(low), [high] "=&r"(high), [even] "=&r"(even), [odd] "=&r"(odd)
            : [x] "m"(*(const int8_t(*)[4])x), [weights] "m"(*(const int8_t(*)[4])weights));
    return acc;
}

/* Cut to what 8 or 16 bits hold. */
static inline int32_t apr_saturated8(int32_t value)
{
    int32_t cut;
    __asm__("ssat %0, #8, %1" : "=r"(cut) : "r"(value));
    return cut;
}

static inline int32_t apr_saturated16(int32_t value)
{
    int32_t cut;
    __asm__("ssat %0, #16, %1" : "=r"(cut) : "r"(value));
    return cut;
}

/* floor(2^31 / total), total not 0. */
static inline uint32_t apr_reciprocal(uint32_t total)
{
    return 0x80000000U / total;
}

#endif
