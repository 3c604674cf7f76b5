/* Square root of a float32 by the WebAssembly instruction, which rounds correctly.
 * Assembly, because a compiler that keeps errno would call the library for __builtin_sqrtf. */
#ifndef APR_SQRT_H
#define APR_SQRT_H

static inline float apr_sqrtf(float x)
{
    float root;
    __asm__("local.get %1\n\tf32.sqrt\n\tlocal.set %0" : "=r"(root) : "r"(x));
    return root;
}

#endif
