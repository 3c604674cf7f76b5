/* apr_parts.h: the services of apr_load.h, as far as the build has the parts for them.
 *
 * APR_WITH_ED25519, APR_WITH_ZSTD and APR_WITH_LZ4 are 1 or 0; `aprgen loader` writes them with the sources of the
 * parts. What is left out is refused: a file that needs it does not load. */
#ifndef APR_PARTS_H
#define APR_PARTS_H

#include "apr_load.h"

#ifndef APR_WITH_ED25519
#define APR_WITH_ED25519 0
#endif
#ifndef APR_WITH_ZSTD
#define APR_WITH_ZSTD 0
#endif
#ifndef APR_WITH_LZ4
#define APR_WITH_LZ4 0
#endif

/* What the device owns. Either may be NULL: without keys no signature is trusted, without memory zstd is refused. */
typedef struct {
    const uint8_t (*keys)[APR_KEY_BYTES]; /* public keys that may sign */
    size_t n_keys;
    void *memory; /* for zstd, aligned to 8: APR_ZSTD_CONTEXT_BYTES of apr_zstd.h */
    size_t n_memory;
} apr_parts;

/* Signed files need one of the keys, unsigned ones are refused where requires_signature is 1. `parts` must stay. */
apr_services apr_parts_services(apr_parts *parts, uint32_t requires_signature);

#endif
