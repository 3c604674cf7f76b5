/* libFuzzer's entry: the input is a native payload, whose size is put right so that more than its first check is tried.
 * What is accepted is computed, with a workspace of exactly the promised size. */
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const size_t n = size & ~(size_t)63U;
    const uint32_t stated = (uint32_t)n;
    apr_view view;
    apr_file file;
    if (size > 1U) { /* as a file: the checksum rarely fits, what comes before it does */
        (void)apr_load(&view, &file, data, size, NULL, 0U, NULL);
    }
    if (n >= 64U) {
        uint8_t *const payload = aligned_alloc(64U, n);
        memcpy(payload, data, n);
        memcpy(&payload[8], &stated, sizeof stated);
        if ((apr_view_open(&view, payload, n) == APR_VIEW_OK) && (apr_view_workspace(&view) <= MOST_WORDS)) {
            if (view.head->source == 1U) {
                compute_rows(&view);
            } else {
                compute_texts(&view);
            }
        }
        free(payload);
    }
    return 0;
}
