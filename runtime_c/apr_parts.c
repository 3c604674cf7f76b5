/* apr_parts.c: services of the parts that are built in. See apr_parts.h. */
#include "apr_parts.h"

#if APR_WITH_ED25519
#include "apr_ed25519.h"
#endif
#if APR_WITH_LZ4
#include "apr_lz4.h"
#endif
#if APR_WITH_ZSTD
#include "apr_zstd.h"
#endif

#if APR_WITH_ED25519
static int is_trusted(const apr_parts *parts, const uint8_t key[32])
{
    int found = 0;
    for (size_t k = 0U; (parts->keys != NULL) && (k < parts->n_keys); ++k) {
        uint32_t differences = 0U;
        for (uint32_t i = 0U; i < APR_KEY_BYTES; ++i) {
            differences |= (uint32_t)parts->keys[k][i] ^ key[i];
        }
        if (differences == 0U) {
            found = 1;
        }
    }
    return found;
}

static int verify(void *context, const uint8_t *message, size_t n, const uint8_t signature[64], const uint8_t key[32])
{
    return ((is_trusted(context, key) == 1) && (apr_ed25519_verify(message, n, signature, key) == 1)) ? 1 : 0;
}
#endif

#if APR_WITH_ZSTD || APR_WITH_LZ4
static int unpack(void *context, uint32_t method, const uint8_t *stored, size_t n_stored, uint8_t *out, size_t n_out)
{
    int done = 0;
#if APR_WITH_ZSTD
    const apr_parts *const parts = context;
    if (((method == APR_ZSTD) || (method == APR_ZSTD_MAX)) && (parts->memory != NULL)) {
        done = apr_zstd_unpack(parts->memory, parts->n_memory, stored, n_stored, out, n_out);
    }
#else
    (void)context;
#endif
#if APR_WITH_LZ4
    if ((method == APR_LZ4) && (n_stored >= 4U)) {
        const uint32_t size =
            (uint32_t)stored[0] | ((uint32_t)stored[1] << 8) | ((uint32_t)stored[2] << 16) | ((uint32_t)stored[3] << 24);
        done = ((size_t)size == n_out) ? apr_lz4_unpack(&stored[4], n_stored - 4U, out, n_out) : 0;
    }
#endif
    return done;
}
#endif

apr_services apr_parts_services(apr_parts *parts, uint32_t requires_signature)
{
    apr_services services = {NULL, NULL, NULL, 0U};
    services.context = parts;
    services.requires_signature = requires_signature;
#if APR_WITH_ED25519
    services.verify = verify;
#endif
#if APR_WITH_ZSTD || APR_WITH_LZ4
    services.unpack = unpack;
#endif
    return services;
}
