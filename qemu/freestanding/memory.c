/* The four functions that a freestanding compiler may call without being asked.
 * The volatile pointers keep it from seeing the loops as calls of these very functions. */
#include <stddef.h>

void *memcpy(void *to, const void *from, size_t n);
void *memmove(void *to, const void *from, size_t n);
void *memset(void *to, int value, size_t n);
int memcmp(const void *a, const void *b, size_t n);

void *memcpy(void *to, const void *from, size_t n)
{
    volatile unsigned char *t = to;
    const unsigned char *f = from;

    for (size_t i = 0U; i < n; ++i) {
        t[i] = f[i];
    }
    return to;
}

void *memmove(void *to, const void *from, size_t n)
{
    volatile unsigned char *t = to;
    const unsigned char *f = from;

    if (t < f) {
        for (size_t i = 0U; i < n; ++i) {
            t[i] = f[i];
        }
    } else {
        for (size_t i = n; i > 0U; --i) {
            t[i - 1U] = f[i - 1U];
        }
    }
    return to;
}

void *memset(void *to, int value, size_t n)
{
    volatile unsigned char *t = to;

    for (size_t i = 0U; i < n; ++i) {
        t[i] = (unsigned char)value;
    }
    return to;
}

int memcmp(const void *a, const void *b, size_t n)
{
    const unsigned char *x = a;
    const unsigned char *y = b;

    for (size_t i = 0U; i < n; ++i) {
        if (x[i] != y[i]) {
            return (x[i] < y[i]) ? -1 : 1;
        }
    }
    return 0;
}
