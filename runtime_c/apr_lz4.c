/* apr_lz4.c: a block of LZ4. See apr_lz4.h. */
#include "apr_lz4.h"

#include "lz4.h"

int apr_lz4_unpack(const uint8_t *stored, size_t n_stored, uint8_t *out, size_t n_out)
{
    int made = -1;
    if ((n_stored <= (size_t)INT32_MAX) && (n_out <= (size_t)INT32_MAX)) {
        made = LZ4_decompress_safe((const char *)stored, (char *)out, (int)n_stored, (int)n_out);
    }
    return ((made >= 0) && ((size_t)made == n_out)) ? 1 : 0;
}
