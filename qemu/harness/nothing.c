/* The empty functions that calibrate the stack measurement. */
#include "harness.h"

void apr_nothing(const void *in, void *out)
{
    (void)in;
    (void)out;
}

int32_t apr_nothing_label(const void *in)
{
    (void)in;
    return 0;
}

uint32_t apr_nothing_suggest(const char *utf8, size_t n, uint32_t k, char *text, size_t text_size, uint32_t *lengths,
                             float *scores)
{
    (void)utf8;
    (void)n;
    (void)k;
    (void)text;
    (void)text_size;
    (void)lengths;
    (void)scores;
    return 0U;
}
