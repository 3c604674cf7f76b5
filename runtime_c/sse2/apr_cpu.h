/* apr_cpu.h: what this x86-64 and its system can do, by CPUID and XCR0.
 *
 * Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2A, CPUID, and volume 1, 14.3 and 15.2-15.4: an
 * instruction of AVX2 or AVX-512 may be used when its own bit is set, and OSXSAVE, and when the system keeps the
 * registers that it needs, which XCR0 says. */
#ifndef APR_CPU_H
#define APR_CPU_H

#include <stdint.h>

/* By the names that Linux has for them. */
#define APR_CPU_POPCNT 0x0001U
#define APR_CPU_FMA 0x0002U
#define APR_CPU_AVX2 0x0004U
#define APR_CPU_AVX_VNNI 0x0008U
#define APR_CPU_AVX512F 0x0010U
#define APR_CPU_AVX512DQ 0x0020U
#define APR_CPU_AVX512BW 0x0040U
#define APR_CPU_AVX512VL 0x0080U
#define APR_CPU_AVX512VBMI 0x0100U
#define APR_CPU_AVX512_VNNI 0x0200U
#define APR_CPU_AVX512_BF16 0x0400U

typedef struct {
    uint32_t eax;
    uint32_t ebx;
    uint32_t ecx;
    uint32_t edx;
} apr_cpu_words;

#ifdef APR_CPU_LEAVES
#include APR_CPU_LEAVES /* a test's own apr_cpu_leaf() and apr_cpu_xcr0() */
#else

#include <cpuid.h>

static inline apr_cpu_words apr_cpu_leaf(uint32_t leaf, uint32_t subleaf)
{
    apr_cpu_words words = {0U, 0U, 0U, 0U};
    __cpuid_count(leaf, subleaf, words.eax, words.ebx, words.ecx, words.edx);
    return words;
}

/* The lower half: which registers the system keeps. Only where OSXSAVE is set. */
static inline uint32_t apr_cpu_xcr0(void)
{
    uint32_t low;
    uint32_t high;
    __asm__ __volatile__("xgetbv" : "=a"(low), "=d"(high) : "c"(0U));
    (void)high;
    return low;
}

#endif

/* `feature` when that bit of a word is set. */
static inline uint32_t apr_cpu_bit(uint32_t word, uint32_t bit, uint32_t feature)
{
    return (((word >> bit) & 1U) != 0U) ? feature : 0U;
}

/* The features that may be used. */
static inline uint32_t apr_cpu_features(void)
{
    const uint32_t most = apr_cpu_leaf(0U, 0U).eax;
    uint32_t features = 0U;
    if (most >= 1U) {
        const apr_cpu_words one = apr_cpu_leaf(1U, 0U);
        const uint32_t saved = (apr_cpu_bit(one.ecx, 27U, 1U) != 0U) ? apr_cpu_xcr0() : 0U; /* OSXSAVE */
        const int has_avx = apr_cpu_bit(one.ecx, 28U, 1U) != 0U;
        const int has_ymm = has_avx && ((saved & 0x06U) == 0x06U);  /* XMM and YMM */
        const int has_zmm = has_ymm && ((saved & 0xE0U) == 0xE0U);  /* masks, ZMM and ZMM 16 to 31 */
        features |= apr_cpu_bit(one.ecx, 23U, APR_CPU_POPCNT);
        if (has_ymm) {
            features |= apr_cpu_bit(one.ecx, 12U, APR_CPU_FMA);
        }
        if (has_ymm && (most >= 7U)) {
            const apr_cpu_words seven = apr_cpu_leaf(7U, 0U);
            const uint32_t more = (seven.eax >= 1U) ? apr_cpu_leaf(7U, 1U).eax : 0U;
            features |= apr_cpu_bit(seven.ebx, 5U, APR_CPU_AVX2);
            features |= apr_cpu_bit(more, 4U, APR_CPU_AVX_VNNI);
            if (has_zmm) {
                features |= apr_cpu_bit(seven.ebx, 16U, APR_CPU_AVX512F);
                features |= apr_cpu_bit(seven.ebx, 17U, APR_CPU_AVX512DQ);
                features |= apr_cpu_bit(seven.ebx, 30U, APR_CPU_AVX512BW);
                features |= apr_cpu_bit(seven.ebx, 31U, APR_CPU_AVX512VL);
                features |= apr_cpu_bit(seven.ecx, 1U, APR_CPU_AVX512VBMI);
                features |= apr_cpu_bit(seven.ecx, 11U, APR_CPU_AVX512_VNNI);
                features |= apr_cpu_bit(more, 5U, APR_CPU_AVX512_BF16);
            }
        }
    }
    return features;
}

#endif
