/* How fast the core runs, in the form of a model that takes rows of one float. */
#ifndef CLOCK_H
#define CLOCK_H

#include <stddef.h>

void clock_predict_batch(const float *x, size_t n_rows, float *out);

#endif
