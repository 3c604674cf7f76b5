/* One open file and calls on it, for tests: buffers of exactly the size that is promised, filled with what nobody wrote. */
#include "apr_crc.h"
#include "apr_load.h"

#include <stdlib.h>
#include <string.h>

static apr_view view;
static apr_file file;

static float *workspace(void)
{
    const size_t n = apr_view_workspace(&view);
    float *const words = malloc((n > 0U) ? (n * sizeof(float)) : 1U);
    memset(words, 0xA5, n * sizeof(float));
    return words;
}

/* 100 * status of the file + status of the payload. */
int session_load(const uint8_t *bytes, size_t n)
{
    const int status = (int)apr_load(&view, &file, bytes, n, NULL, 0U, NULL);
    return (100 * status) + ((status == (int)APR_LOAD_E_PAYLOAD) ? (int)file.view_status : 0);
}

typedef int verifier(void *context, const uint8_t *message, size_t n, const uint8_t signature[64],
                     const uint8_t key[32]);
typedef int unpacker(void *context, uint32_t method, const uint8_t *stored, size_t n_stored, uint8_t *out,
                     size_t n_out);

/* The same with callbacks, which may be NULL, and a buffer of exactly n_buffer bytes, `offset` behind a multiple of 64;
 * it stays for the calls that follow. */
int session_load_with(const uint8_t *bytes, size_t n, size_t n_buffer, size_t offset, verifier *verify,
                      unpacker *unpack, uint32_t requires_signature)
{
    static uint8_t *room = NULL;
    const apr_services services = {NULL, verify, unpack, requires_signature};
    free(room);
    room = malloc(n_buffer + offset + 64U);
    uint8_t *const buffer = &room[((64U - ((uintptr_t)room % 64U)) % 64U) + offset];
    const int status = (int)apr_load(&view, &file, bytes, n, (n_buffer == 0U) ? NULL : buffer, n_buffer, &services);
    return (100 * status) + ((status == (int)APR_LOAD_E_PAYLOAD) ? (int)file.view_status : 0);
}

/* What is known of a file from its first 32 bytes: status, then bytes of the file and of the buffer. */
int session_header(const uint8_t *bytes, size_t n, uint64_t sizes[2])
{
    apr_header header;
    const int status = (int)apr_header_read(&header, bytes, n);
    sizes[0] = (status == 0) ? apr_header_file_bytes(&header) : 0U;
    sizes[1] = (status == 0) ? apr_header_buffer_bytes(&header) : 0U;
    return status;
}

int session_open(const void *payload, size_t n)
{
    return (int)apr_view_open(&view, payload, n);
}

uint32_t session_features(void)
{
    return view.head->n_features;
}

uint32_t session_outputs(void)
{
    return view.head->n_outputs;
}

uint32_t session_classes(void)
{
    return view.head->n_classes;
}

uint32_t session_workspace(void)
{
    return (uint32_t)apr_view_workspace(&view);
}

void session_rows(const float *x, size_t n_rows, float *out, int32_t *labels)
{
    for (size_t row = 0U; row < n_rows; ++row) {
        float *words = workspace();
        apr_view_scores(&view, &x[row * view.head->n_features], &out[row * view.head->n_outputs], words);
        free(words);
        words = workspace();
        labels[row] = apr_view_classify(&view, &x[row * view.head->n_features], words);
        free(words);
    }
}

int session_predict(const float *x, size_t n_x, float *out, size_t n_out, size_t n_workspace)
{
    float *const words = workspace();
    const int status = (int)apr_view_predict(&view, x, n_x, out, n_out, words, n_workspace);
    free(words);
    return status;
}

uint32_t session_crc(const uint8_t *bytes, size_t n)
{
    return apr_crc32(apr_crc32(0U, bytes, n / 3U), &bytes[n / 3U], n - (n / 3U));
}

#if APR_VIEW_TEXT
int session_predict_text(const char *utf8, size_t n, float *out, size_t n_out)
{
    float *const words = workspace();
    const int status = (int)apr_view_predict_text(&view, utf8, n, out, n_out, words, apr_view_workspace(&view));
    free(words);
    return status;
}

uint32_t session_suggest(const char *utf8, size_t n, uint32_t k, char *text, size_t text_size, uint32_t *lengths,
                         float *scores)
{
    return apr_view_suggest(&view, utf8, n, k, text, text_size, lengths, scores);
}
#endif
