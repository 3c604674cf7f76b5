/* apr_view_parts.h: what the files of apr_view share and nobody else needs: numbers of the format, tables and values. */
#ifndef APR_VIEW_PARTS_H
#define APR_VIEW_PARTS_H

#include "apr_view.h"

#if defined(__BYTE_ORDER__) && (__BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__)
#error "a native payload is little-endian"
#endif

#define APR_NO_TABLE 0xFFFFU
#define APR_NO_LABEL 0xFFFFFFFFU
#define APR_MAX_ELEMENTS 65536U /* of a row and of any value */
#define APR_MAX_WORDS 0x0FFFFFFFU /* of either part of the workspace: their bytes fit in 32 bits */

/* Kinds of sections. */
#define APR_KIND_STEPS 1U
#define APR_KIND_VALUES 2U
#define APR_KIND_INPUTS 3U
#define APR_KIND_STAGES 4U
#define APR_KIND_TABLE 5U
#define APR_KIND_NODES 6U
#define APR_KIND_SKIPPED 0x8000U /* and above */

/* Element types, as bits: a check allows several. */
#define APR_TYPE_U8 0x2U
#define APR_TYPE_U16 0x4U
#define APR_TYPE_U32 0x8U
#define APR_TYPE_I16 0x10U
#define APR_TYPE_I32 0x20U
#define APR_TYPE_F32 0x40U
#define APR_TYPE_F64 0x80U
#define APR_TYPE_STEP 0x10000U
#define APR_TYPE_VALUE 0x20000U
#define APR_TYPE_STAGE 0x40000U
#define APR_TYPE_SHORT_NODE 0x80000U
#define APR_TYPE_LONG_NODE 0x100000U

/* Elements of values. */
#define APR_VALUE_F32 ((uint32_t)1U)
#define APR_VALUE_U16 ((uint32_t)2U)
#define APR_VALUE_I32 ((uint32_t)3U)
#define APR_VALUE_TEXT ((uint32_t)4U)
#define APR_VALUE_PREFIX ((uint32_t)5U)

#define APR_OP_DENSE 1U
#define APR_OP_SQUARED_DISTANCE 2U
#define APR_OP_NEIGHBOURS 3U
#define APR_OP_GAUSS 4U
#define APR_OP_MAP 5U
#define APR_OP_SOFTMAX 6U
#define APR_OP_NORMALISE 7U
#define APR_OP_COMPLEMENT 8U
#define APR_OP_TOP_MIX 9U
#define APR_OP_CONCAT 10U
#define APR_OP_ARGMAX 11U
#define APR_OP_ARGMIN 12U
#define APR_OP_THRESHOLD 13U
#define APR_OP_LOOKUP 14U
#define APR_OP_TREE_LEAF 15U
#define APR_OP_TREE_VOTES 16U
#define APR_OP_TREE_SUM 17U
#define APR_OP_TERM_COUNTS 18U
#define APR_OP_TFIDF 19U
#define APR_OP_SUGGEST 20U

/* Verbs of stages. */
#define APR_VERB_ADD 0U
#define APR_VERB_SUB 1U
#define APR_VERB_MUL 2U
#define APR_VERB_DIV 3U
#define APR_VERB_NEG 4U
#define APR_VERB_EXP 5U
#define APR_VERB_EXP2 6U
#define APR_VERB_SIGMOID 7U
#define APR_VERB_TANH 8U
#define APR_VERB_GELU 9U
#define APR_VERB_RELU 10U
#define APR_VERB_LEAKY_RELU 11U
#define APR_VERB_KEEP 12U

#define APR_NEEDED_SCORES 1U
#define APR_NEEDED_LABEL 2U

/* Nodes of trees. A reference >= 0 is a node, one below is leaf -1 - reference. */
typedef struct {
    float threshold;
    uint16_t feature;
    uint16_t flags;
    int16_t left;
    int16_t right;
} apr_short_node;

typedef struct {
    float threshold;
    uint16_t feature;
    uint16_t flags;
    int32_t left;
    int32_t right;
} apr_long_node;

/* One run: the model's input and the workspace. Integers of values lie in the workspace as the bits of floats, so all
 * of it is of one type. */
typedef struct {
    const apr_view *view;
    const float *x;
    const uint8_t *text;
    size_t n_text;
    float *words;
} apr_run;

/* The section in a slot of a step; the step was checked, or the slot's number is checked here: NULL for none. */
static inline const apr_native_section *apr_section_of(const apr_view *view, uint32_t index)
{
    return (index < view->head->n_sections) ? &view->section[index] : NULL;
}

/* 1 when a section is a table of one of the types (bits) with these rows and columns. */
static inline int apr_is_table(const apr_view *view, uint32_t index, uint32_t types, uint32_t rows, uint32_t cols)
{
    const apr_native_section *const s = apr_section_of(view, index);
    return (s != NULL) && (s->kind == APR_KIND_TABLE) && (((types >> s->element) & 1U) != 0U) && (s->rows == rows) &&
           (s->cols == cols) && (s->count != 0U);
}

/* The same for a list of any length: a table of one column. */
static inline int apr_is_list(const apr_view *view, uint32_t index, uint32_t types)
{
    const apr_native_section *const s = apr_section_of(view, index);
    return (s != NULL) && apr_is_table(view, index, types, s->rows, 1U);
}

/* Where the elements of a section lie.
 * Deviation: bytes are read as what the section says they are; they are aligned, and were checked. */
static inline const void *apr_elements(const apr_view *view, uint32_t index)
{
    return &view->payload[view->section[index].offset];
}

static inline const float *apr_floats(const apr_view *view, uint32_t index)
{
    return (const float *)apr_elements(view, index);
}

/* Element i of a list of u8, u16, u32 or i32, none of them negative. */
static inline uint32_t apr_element(const apr_view *view, uint32_t index, uint32_t i)
{
    const void *const elements = apr_elements(view, index);
    uint32_t element;
    switch (view->section[index].element) {
    case 1U:
        element = ((const uint8_t *)elements)[i];
        break;
    case 2U:
        element = ((const uint16_t *)elements)[i];
        break;
    default: /* u32, or i32 that is not negative */
        element = ((const uint32_t *)elements)[i];
        break;
    }
    return element;
}

/* The value that input k of a step is; k < n_inputs. */
static inline uint32_t apr_input_of(const apr_view *view, const apr_native_step *step, uint32_t k)
{
    return view->input[step->first_input + k];
}

/* 1 when input k of a step is there and of this type. */
static inline int apr_takes(const apr_view *view, const apr_native_step *step, uint32_t k, uint32_t element,
                            uint32_t size)
{
    int fits = 0;
    if (k < step->n_inputs) {
        const apr_native_value *const v = &view->value[apr_input_of(view, step, k)];
        fits = ((v->element == element) && (v->size == size)) ? (int)1 : (int)0;
    }
    return fits;
}

/* The value that a step makes. */
static inline const apr_native_value *apr_result_of(const apr_view *view, const apr_native_step *step)
{
    return &view->value[(step - view->step) + 1];
}

static inline int apr_makes(const apr_view *view, const apr_native_step *step, uint32_t element, uint32_t size)
{
    const apr_native_value *const v = apr_result_of(view, step);
    return (v->element == element) && (v->size == size);
}

/* The steps that the scores need, and the scores. */
void apr_view_run_scores(const apr_run *run, float *out);

#if APR_VIEW_TEXT
/* apr_view_text.c: the operations on texts. */
apr_view_status apr_view_check_text(const apr_view *view, const apr_native_step *step);
void apr_view_run_term_counts(const apr_run *run, const apr_native_step *step, float *y);
void apr_view_run_tfidf(const apr_run *run, const apr_native_step *step, const float *x, float *y);
#endif

#endif
