/* apr_view.h: a model computed from a native payload, where it lies: in flash, in a mapped file, in a buffer.
 *
 * C99, freestanding, no heap: all memory is the caller's, and its size is known after apr_view_open. A payload comes from
 * strangers: apr_view_open looks at every byte that could make a later call read outside the payload or the workspace,
 * or never end; after it no call can. Results are bit for bit those of the C that `aprgen compile` writes.
 * docs/native-payload.md has the bytes. Little-endian machines only.
 *
 * Not read: names and records. Not judged: whether numbers make sense; sign the file for that. */
#ifndef APR_VIEW_H
#define APR_VIEW_H

#include "apr_rt.h"

/* What is built in, 1 or 0: an operation that is left out makes apr_view_open say APR_VIEW_E_LEFT_OUT.
 *   TREES       decision trees and forests           DENSE    weighted sums: linear models, networks, PCA
 *   DISTANCES   k-means, k nearest neighbours        GAUSS    naive Bayes, Gaussian mixtures
 *   FUNCTIONS   exp, sigmoid, tanh, GELU, softmax    POWERS   Minkowski's distance
 *   TEXT        vectorizers and completions; needs apr_view_text.c */
#ifndef APR_VIEW_TREES
#define APR_VIEW_TREES 1
#endif
#ifndef APR_VIEW_DENSE
#define APR_VIEW_DENSE 1
#endif
#ifndef APR_VIEW_DISTANCES
#define APR_VIEW_DISTANCES 1
#endif
#ifndef APR_VIEW_GAUSS
#define APR_VIEW_GAUSS 1
#endif
#ifndef APR_VIEW_FUNCTIONS
#define APR_VIEW_FUNCTIONS 1
#endif
#ifndef APR_VIEW_POWERS
#define APR_VIEW_POWERS 1
#endif
#ifndef APR_VIEW_TEXT
#define APR_VIEW_TEXT 1
#endif

#define APR_VIEW_ALIGNMENT 8U /* of the payload's address; the file is aligned to 64 */

typedef enum {
    APR_VIEW_OK = 0,
    APR_VIEW_E_ALIGNMENT = 1, /* the payload's address is no multiple of APR_VIEW_ALIGNMENT */
    APR_VIEW_E_SIZE = 2,      /* the payload is shorter or longer than it says */
    APR_VIEW_E_VERSION = 3,   /* no native payload, or one of another major version */
    APR_VIEW_E_SECTION = 4,   /* a section is of an unknown kind, has a wrong size, or lies outside */
    APR_VIEW_E_STEP = 5,      /* an operation is unknown, or its inputs and results do not fit it */
    APR_VIEW_E_TABLE = 6,     /* a table is missing, has another type or size, or says what cannot be */
    APR_VIEW_E_TREE = 7,      /* a walk through a tree would leave it or never end */
    APR_VIEW_E_PLACE = 8,     /* a value lies outside the workspace or on its inputs */
    APR_VIEW_E_LEFT_OUT = 9   /* a sound operation that this build leaves out */
} apr_view_status;

/* The structures of the payload. */
typedef struct {
    uint8_t magic[4];
    uint16_t major;
    uint16_t minor;
    uint32_t n_bytes;
    uint32_t n_sections;
    uint32_t n_steps;
    uint32_t source; /* 1 row, 2 text, 3 start of a text */
    uint32_t n_features;
    uint32_t n_outputs;
    uint32_t n_classes; /* 0: does not classify */
    uint32_t scores;
    uint32_t label;
    uint32_t value_words;
    uint32_t scratch_words;
    uint32_t reserved[3];
} apr_native_head;

typedef struct {
    uint16_t kind;
    uint16_t element;
    uint32_t count;
    uint32_t offset;
    uint32_t n_bytes;
    uint32_t rows;
    uint32_t cols;
    uint32_t detail;
    uint32_t reserved;
} apr_native_section;

typedef struct {
    uint16_t op;
    uint16_t needed;
    uint32_t first_input;
    uint32_t n_inputs;
    uint32_t reserved;
    uint16_t table[12];
    uint32_t parameter[6];
} apr_native_step;

typedef struct {
    uint32_t element;
    uint32_t size;
    uint32_t at;
    uint32_t reserved;
} apr_native_value;

typedef struct {
    uint32_t verb;
    uint32_t constant; /* bits of a float */
    uint16_t each;
    uint16_t mask;
    uint32_t reserved;
} apr_native_stage;

/* An open payload. Only apr_view_open writes it; `head` may be read for numbers of features, outputs and classes. */
typedef struct {
    const uint8_t *payload;
    const apr_native_head *head;
    const apr_native_section *section;
    const apr_native_step *step;
    const apr_native_value *value;
    const uint32_t *input;
    const apr_native_stage *stage;
} apr_view;

/* Opens the n bytes of a native payload, which must stay as they are while the view is used.
 * Time is linear in n. On failure the view must not be used. */
apr_view_status apr_view_open(apr_view *view, const void *payload, size_t n);

/* Floats of workspace that the calls below need, less than 2^29. Only one call at a time may use a workspace; views and
 * payloads can be shared. */
static inline size_t apr_view_workspace(const apr_view *view)
{
    return (size_t)view->head->value_words + view->head->scratch_words;
}

/* As NAME_predict, NAME_scores and NAME_classify of generated code. scores and classify check nothing: x has
 * head->n_features elements, out head->n_outputs, and the workspace what apr_view_workspace says.
 * predict says APR_E_DIMENSION also for a model that takes texts, and APR_E_BUFFER for too little workspace.
 * classify is for models with head->n_classes > 0 and gives 0 for others. */
apr_status apr_view_predict(const apr_view *view, const float *x, size_t n_x, float *out, size_t n_out, float *workspace,
                            size_t n_workspace);
void apr_view_scores(const apr_view *view, const float *x, float *out, float *workspace);
int32_t apr_view_classify(const apr_view *view, const float *x, float *workspace);

#if APR_VIEW_TEXT
/* As NAME_predict_text, NAME_scores_text and NAME_suggest. */
apr_status apr_view_predict_text(const apr_view *view, const char *utf8, size_t n, float *out, size_t n_out,
                                 float *workspace, size_t n_workspace);
void apr_view_scores_text(const apr_view *view, const char *utf8, size_t n, float *out, float *workspace);
uint32_t apr_view_suggest(const apr_view *view, const char *utf8, size_t n, uint32_t k, char *text, size_t text_size,
                          uint32_t *lengths, float *scores);
#endif

#endif
