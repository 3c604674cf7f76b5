/* libFuzzer's entry: the input is a file, or else a native payload; sizes and checksum are put right so that more than
 * the first checks are tried. What is accepted is computed, with a workspace of exactly the promised size. Files go
 * through the parts where they are built in; one signed file is known, and no other may be taken for signed. */
#include "apr_load.h"

#include <stdlib.h>
#include <string.h>

#define MOST_WORDS 0x100000U /* more than any model of a device needs: a fuzzer's time is short */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void compute_rows(const apr_view *view)
{
    static const float values[5] = {0.0F, -1.5F, 3.0e38F, 1.0e-40F, 0.0F};
    const size_t n_words = apr_view_workspace(view);
    float *const words = malloc(n_words * sizeof(float));
    float *const x = malloc(view->head->n_features * sizeof(float));
    float *const out = malloc(view->head->n_outputs * sizeof(float));
    for (size_t i = 0U; i < 5U; ++i) {
        for (uint32_t f = 0U; f < view->head->n_features; ++f) {
            x[f] = (i == 4U) ? APR_NAN : values[(i + f) % 5U];
        }
        apr_view_scores(view, x, out, words);
        (void)apr_view_classify(view, x, words);
    }
    (void)apr_view_predict(view, x, view->head->n_features, out, view->head->n_outputs, words, n_words);
    free(words);
    free(x);
    free(out);
}

static void compute_texts(const apr_view *view)
{
    static const char *const texts[5] = {"", "the CAT \xCE\xA3sat\xCE\xA3 on", "git  commit -m", "git ", "\xFF \xC4\xB0 x"};
    const size_t n_words = apr_view_workspace(view);
    float *const words = malloc(n_words * sizeof(float));
    float *const out = malloc(view->head->n_outputs * sizeof(float));
    char text[64];
    uint32_t lengths[4];
    float scores[4];
    for (size_t i = 0U; i < 5U; ++i) {
        apr_view_scores_text(view, texts[i], strlen(texts[i]), out, words);
        (void)apr_view_predict_text(view, texts[i], strlen(texts[i]), out, view->head->n_outputs, words, n_words);
        (void)apr_view_suggest(view, texts[i], strlen(texts[i]), 4U, text, sizeof text, lengths, scores);
    }
    free(words);
    free(out);
}

static void compute(const apr_view *view)
{
    if (apr_view_workspace(view) > MOST_WORDS) {
        return;
    }
    if (view->head->source == 1U) {
        compute_rows(view);
    } else {
        compute_texts(view);
    }
}

#if APR_WITH_ED25519 && APR_WITH_LZ4 && APR_WITH_ZSTD
#include "apr_crc.h"
#include "apr_ed25519.h"
#include "apr_meta.h"
#include "apr_parts.h"
#include "apr_zstd.h"
#include "known.h" /* known_key, and known_message: the SHA-512 of the one message that it signed */

typedef struct {
    const uint8_t *whole;
    size_t at;
} comparison;

static int compare(void *context, const uint8_t *piece, size_t n)
{
    comparison *const done = context;
    if (memcmp(&done->whole[done->at], piece, n) != 0) {
        abort(); /* the window gives other bytes than the buffer */
    }
    done->at += n;
    return 1;
}

static void put(uint8_t *bytes, uint32_t word)
{
    memcpy(bytes, &word, sizeof word);
}

/* An exact copy whose sizes and checksum are put right, so that what lies behind them is tried. */
static uint8_t *repaired(const uint8_t *data, size_t n)
{
    uint8_t *const bytes = aligned_alloc(64U, (n + 63U) & ~(size_t)63U);
    const size_t block = ((data[21] & APR_FLAG_SIGNED) != 0U) ? 96U : 0U;
    uint32_t n_metadata = 0U;
    memcpy(bytes, data, n);
    memcpy(&n_metadata, &data[8], sizeof n_metadata);
    if (n >= ((size_t)36U + block + n_metadata)) {
        const uint32_t n_payload = (uint32_t)(n - 36U - block - n_metadata);
        put(&bytes[12], n_payload);
        if (data[20] == APR_PLAIN) {
            put(&bytes[16], n_payload);
        }
    }
    put(&bytes[n - 4U], apr_crc32(0U, bytes, n - 4U));
    return bytes;
}

static void load_file(const uint8_t *data, size_t n)
{
    static uint64_t memory[APR_ZSTD_CONTEXT_BYTES / 8U];
    apr_parts parts = {known_key, 1U, memory, sizeof memory};
    const apr_services services = apr_parts_services(&parts, 0U);
    uint8_t *const bytes = repaired(data, n);
    apr_view view;
    apr_file file;
    apr_header header;
    if ((apr_header_read(&header, bytes, n) == APR_LOAD_OK) && (header.metadata_bytes <= (n - 36U))) {
        uint32_t value = 0U;
        uint8_t *const metadata = malloc(header.metadata_bytes + (size_t)1U);
        memcpy(metadata, &bytes[32], header.metadata_bytes);
        (void)apr_meta_number(metadata, header.metadata_bytes, "custom", "version", &value);
        free(metadata);
    }
    if ((apr_header_read(&header, bytes, n) == APR_LOAD_OK) && (apr_header_buffer_bytes(&header) <= MOST_WORDS)) {
        const size_t n_buffer = apr_header_buffer_bytes(&header);
        uint8_t *const buffer = aligned_alloc(64U, (n_buffer + 64U) & ~(size_t)63U);
        const apr_load_status status = apr_load(&view, &file, bytes, n, buffer, n_buffer, &services);
        if ((apr_file_open(&file, bytes, n) == APR_LOAD_OK) && (file.signature != NULL) &&
            (apr_file_verify(&file, &services) == APR_LOAD_OK)) {
            apr_sha512 hash;
            uint8_t digest[64];
            apr_sha512_start(&hash);
            apr_sha512_add(&hash, file.bytes, file.signed_bytes);
            apr_sha512_end(&hash, digest);
            if (memcmp(digest, known_message, sizeof digest) != 0) {
                abort(); /* a changed file was taken for the signed one */
            }
        }
        if (status == APR_LOAD_OK) {
            compute(&view);
        }
        if (((status == APR_LOAD_OK) || (status == APR_LOAD_E_PAYLOAD)) && (header.compression != APR_PLAIN) &&
            (header.compression != APR_LZ4)) {
            const size_t n_window = apr_zstd_window_bytes(file.payload, header.payload_bytes, n_buffer);
            uint8_t *const window = malloc(n_window + 1U);
            comparison done = {buffer, 0U};
            if (apr_zstd_pieces(memory, sizeof memory, window, n_window, file.payload, header.payload_bytes, n_buffer,
                                compare, &done) != 1) {
                abort(); /* what the buffer took, the window refuses */
            }
            free(window);
        }
        free(buffer);
    }
    free(bytes);
}
#else
static void load_file(const uint8_t *data, size_t n)
{
    apr_view view;
    apr_file file;
    (void)apr_load(&view, &file, data, n, NULL, 0U, NULL);
}
#endif

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const size_t n = size & ~(size_t)63U;
    const uint32_t stated = (uint32_t)n;
    apr_view view;
    apr_file file;
    if (size > 1U) { /* as a file: the checksum rarely fits, what comes before it does */
        (void)apr_load(&view, &file, data, size, NULL, 0U, NULL);
    }
    if ((size >= 36U) && (memcmp(data, "APRN", 4U) == 0)) {
        load_file(data, size);
    } else if (n >= 64U) {
        uint8_t *const payload = aligned_alloc(64U, n);
        memcpy(payload, data, n);
        memcpy(&payload[8], &stated, sizeof stated);
        if (apr_view_open(&view, payload, n) == APR_VIEW_OK) {
            compute(&view);
        }
        free(payload);
    }
    return 0;
}
