/* Each row takes 64 additions of which every one waits for the one before: 64 cycles on all cores that aprgen knows.
 * The operand is a register, as some cores add constants while they rename. */
#include "clock.h"

#include <stdint.h>

#define ADD __asm__ volatile("" : "+r"(sum)); sum += step;
#define ADD_8 ADD ADD ADD ADD ADD ADD ADD ADD

void clock_predict_batch(const float *x, size_t n_rows, float *out)
{
    uint64_t sum = (uint64_t)n_rows;
    uint64_t step = (uint64_t)(x[0] > 0.0F) + 1U;
    __asm__ volatile("" : "+r"(step));
    for (size_t row = 0U; row < n_rows; ++row) {
        ADD_8 ADD_8 ADD_8 ADD_8 ADD_8 ADD_8 ADD_8 ADD_8
    }
    out[0] = (float)(uint32_t)sum;
}
