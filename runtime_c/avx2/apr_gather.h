/* apr_gather.h: values at eight places of an array, with AVX2. The places are in ymm0, where QEMU up to 7.2 reads them
 * right: it takes ymm4 for no places at all. */
#ifndef APR_GATHER_H
#define APR_GATHER_H

#include <immintrin.h>
#include <stdint.h>

/* Four bytes each. Lanes whose mask has no sign keep what `none` has. */
static inline __m256i apr_gathered_some(const void *x, __m256i places, __m256i mask, __m256i none)
{
    __asm__("vpgatherdd\t%t1, (%2,%t3,4), %t0"
            : "+&x"(none), "+&x"(mask)
            : "r"(x), "Yz"(places)
            : "memory");
    return none;
}

static inline __m256i apr_gathered(const void *x, __m256i places)
{
    return apr_gathered_some(x, places, _mm256_set1_epi32(-1), _mm256_setzero_si256());
}

/* The same from two bytes for each place on. */
static inline __m256i apr_gathered_pairs(const void *x, __m256i places)
{
    __m256i found = _mm256_setzero_si256();
    __m256i mask = _mm256_set1_epi32(-1);
    __asm__("vpgatherdd\t%t1, (%2,%t3,2), %t0"
            : "+&x"(found), "+&x"(mask)
            : "r"(x), "Yz"(places)
            : "memory");
    return found;
}

#endif
