/* Square root of a float32 by the AArch64 instruction, which rounds correctly.
 * Assembly, because a compiler that keeps errno would call the library for __builtin_sqrtf. */
#ifndef APR_SQRT_H
#define APR_SQRT_H

static inline float apr_sqrtf(float x)
{
    float root;
    __asm__("fsqrt %s0, %s1" : "=w"(root) : "w"(x));
    return root;
}

#endif
