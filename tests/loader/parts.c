/* The parts of the loader, for tests, with memory of exactly the size that is asked for. */
#include "session.c"

#include "apr_ed25519.h"
#include "apr_lz4.h"
#include "apr_meta.h"
#include "apr_parts.h"
#include "apr_zstd.h"

/* Loads with services of the parts; as session_load. One key, or none. */
int parts_load(const uint8_t *bytes, size_t n, const uint8_t *key, size_t n_memory, uint32_t requires_signature)
{
    static uint8_t *buffer = NULL;
    apr_header header;
    uint8_t keys[1][32];
    uint64_t *const memory = malloc(n_memory);
    apr_parts parts = {NULL, 0U, (n_memory > 0U) ? memory : NULL, n_memory};
    if (key != NULL) {
        memcpy(keys[0], key, 32U);
        parts.keys = (const uint8_t(*)[32])keys;
        parts.n_keys = 1U;
    }
    const apr_services services = apr_parts_services(&parts, requires_signature);
    size_t n_buffer = 0U;
    if (apr_header_read(&header, bytes, n) == APR_LOAD_OK) {
        n_buffer = apr_header_buffer_bytes(&header);
    }
    free(buffer);
    buffer = malloc(n_buffer + 1U);
    const int status = (int)apr_load(&view, &file, bytes, n, buffer, n_buffer, &services);
    free(memory);
    return (100 * status) + ((status == (int)APR_LOAD_E_PAYLOAD) ? (int)file.view_status : 0);
}

/* The number, or -1; the bytes end where their memory ends. */
int64_t parts_number(const uint8_t *metadata, size_t n, const char *outer, const char *key)
{
    uint8_t *const exact = malloc((n > 0U) ? n : 1U);
    uint32_t value = 0U;
    memcpy(exact, metadata, n);
    const int found = apr_meta_number(exact, n, outer, key, &value);
    free(exact);
    return (found == 1) ? (int64_t)value : -1;
}

int parts_verify(const uint8_t *message, size_t n, const uint8_t *signature, const uint8_t *key)
{
    return apr_ed25519_verify(message, n, signature, key);
}

void parts_sha512(const uint8_t *bytes, size_t n, size_t first, uint8_t *digest)
{
    apr_sha512 hash;
    apr_sha512_start(&hash);
    apr_sha512_add(&hash, bytes, first);
    apr_sha512_add(&hash, &bytes[first], n - first);
    apr_sha512_end(&hash, digest);
}

int parts_lz4(const uint8_t *stored, size_t n_stored, uint8_t *out, size_t n_out)
{
    uint8_t *const exact = malloc(n_out + 1U);
    const int done = apr_lz4_unpack(stored, n_stored, exact, n_out);
    memcpy(out, exact, n_out);
    free(exact);
    return done;
}

int parts_zstd(const uint8_t *stored, size_t n_stored, uint8_t *out, size_t n_out, size_t n_memory)
{
    uint8_t *const exact = malloc(n_out + 1U);
    void *const memory = malloc(n_memory + 1U);
    const int done = apr_zstd_unpack(memory, n_memory, stored, n_stored, exact, n_out);
    memcpy(out, exact, n_out);
    free(memory);
    free(exact);
    return done;
}

typedef struct {
    uint8_t *out;
    size_t n;
    size_t most;
} parts_taken;

static int take(void *context, const uint8_t *piece, size_t n)
{
    parts_taken *const taken = context;
    if (n > (taken->most - taken->n)) {
        return 0;
    }
    memcpy(&taken->out[taken->n], piece, n);
    taken->n += n;
    return 1;
}

int parts_pieces(const uint8_t *stored, size_t n_stored, uint8_t *out, size_t n_out, size_t n_window)
{
    parts_taken taken = {out, 0U, n_out};
    void *const memory = malloc(APR_ZSTD_CONTEXT_BYTES);
    uint8_t *const window = malloc(n_window + 1U);
    const int done =
        apr_zstd_pieces(memory, APR_ZSTD_CONTEXT_BYTES, window, n_window, stored, n_stored, n_out, take, &taken);
    free(window);
    free(memory);
    return done;
}

uint32_t parts_window(const uint8_t *stored, size_t n_stored, size_t n_out)
{
    return (uint32_t)apr_zstd_window_bytes(stored, n_stored, n_out);
}

uint32_t parts_context(int macro)
{
    return (macro != 0) ? APR_ZSTD_CONTEXT_BYTES : (uint32_t)apr_zstd_context_bytes();
}
