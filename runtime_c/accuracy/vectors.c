/* Compares apr_float_maps.h with apr_math.h on every float32: the same bits, any NaN for any NaN.
 *
 *   gcc -O2 -std=c99 -ffp-contract=off -mavx2 -mfma -I.. -I../avx2 -I../x86 vectors.c -o vectors && ./vectors
 *   gcc -O2 -std=c99 -ffp-contract=off -mavx2 -mfma -mavx512f -mavx512bw -mavx512dq -mavx512vl \
 *       -I.. -I../avx512 -I../x86 vectors.c -o vectors && ./vectors
 *
 *   aarch64-linux-gnu-gcc -O2 -static -std=c99 -ffp-contract=off -I.. -I../aarch64 -I../simd128 vectors.c -o vectors \
 *       && qemu-aarch64 ./vectors
 *
 * Prints how many of the 2^32 floats differ, for each function; status 1 when one does. About four minutes, and half an
 * hour in QEMU. */
#include "apr_float_maps.h"
#include "apr_math.h"

#include <inttypes.h>
#include <stdio.h>

enum { WIDTH = sizeof(apr_floats) / sizeof(float), FUNCTIONS = 5 };

static const char *const names[FUNCTIONS] = {"exp", "exp2", "sigmoid", "tanh", "gelu"};

static apr_floats of_vector(int function, apr_floats x)
{
    switch (function) {
    case 0: return apr_floats_exp(x);
    case 1: return apr_floats_exp2(x);
    case 2: return apr_floats_sigmoid(x);
    case 3: return apr_floats_tanh(x);
    default: return apr_floats_gelu(x);
    }
}

static float of_float(int function, float x)
{
    switch (function) {
    case 0: return apr_expf(x);
    case 1: return apr_exp2f(x);
    case 2: return apr_sigmoidf(x);
    case 3: return apr_tanhf(x);
    default: return apr_geluf(x);
    }
}

int main(void)
{
    int status = 0;
    for (int function = 0; function < FUNCTIONS; ++function) {
        uint64_t different = 0U;
        for (uint64_t first = 0U; first < (UINT64_C(1) << 32); first += WIDTH) {
            float x[WIDTH];
            float y[WIDTH];
            for (uint32_t i = 0U; i < WIDTH; ++i) {
                x[i] = apr_from_bits((uint32_t)first + i);
            }
            apr_floats_store(y, of_vector(function, apr_floats_at(x)));
            for (uint32_t i = 0U; i < WIDTH; ++i) {
                const float expected = of_float(function, x[i]);
                const int same = (expected != expected) ? (y[i] != y[i]) : (apr_bits(expected) == apr_bits(y[i]));
                different += same ? 0U : 1U;
            }
        }
        printf("%-8s %" PRIu64 " of 2^32 differ\n", names[function], different);
        status = (different != 0U) ? 1 : status;
    }
    return status;
}
