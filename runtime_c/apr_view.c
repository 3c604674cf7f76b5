/* apr_view.c: opens native payloads, believing nothing. See apr_view.h. */
#include "apr_view_parts.h"

/* The sizes of the format, where the compiler knows them. */
typedef char apr_head_has_64_bytes[(sizeof(apr_native_head) == 64U) ? 1 : -1];
typedef char apr_section_has_32_bytes[(sizeof(apr_native_section) == 32U) ? 1 : -1];
typedef char apr_step_has_64_bytes[(sizeof(apr_native_step) == 64U) ? 1 : -1];
typedef char apr_value_has_16_bytes[(sizeof(apr_native_value) == 16U) ? 1 : -1];
typedef char apr_stage_has_16_bytes[(sizeof(apr_native_stage) == 16U) ? 1 : -1];
typedef char apr_short_node_has_12_bytes[(sizeof(apr_short_node) == 12U) ? 1 : -1];
typedef char apr_long_node_has_16_bytes[(sizeof(apr_long_node) == 16U) ? 1 : -1];

/* Bytes of an element, 0 for a type that does not exist. */
static uint32_t element_bytes(uint32_t element)
{
    static const uint8_t bytes[21] = {0U, 1U, 2U, 4U, 2U, 4U, 4U, 8U, 0U, 0U, 0U, 0U, 0U, 0U, 0U, 0U, 64U, 16U, 16U, 12U, 16U};
    return (element < 21U) ? bytes[element] : 0U;
}

/* The element types that a kind of section may have. */
static uint32_t types_of_kind(uint32_t kind)
{
    static const uint32_t types[7] = {
        0U, APR_TYPE_STEP, APR_TYPE_VALUE, APR_TYPE_U32, APR_TYPE_STAGE,
        APR_TYPE_U8 | APR_TYPE_U16 | APR_TYPE_U32 | APR_TYPE_I16 | APR_TYPE_I32 | APR_TYPE_F32 | APR_TYPE_F64,
        APR_TYPE_SHORT_NODE | APR_TYPE_LONG_NODE,
    };
    return (kind < 7U) ? types[kind] : 0U;
}

/* Sections lie one behind the other inside the payload, and each is as long as its elements are. */
static apr_view_status check_sections(const apr_view *view)
{
    const uint32_t n_bytes = view->head->n_bytes;
    uint32_t end = 64U + (32U * view->head->n_sections); /* at most n_bytes, as the caller saw */
    APR_LOOP(apr_view_sections, APR_BY_ARGUMENT);
    for (uint32_t i = 0U; i < view->head->n_sections; ++i) {
        APR_BODY(apr_view_sections, APR_BY_ARGUMENT);
        const apr_native_section *const s = &view->section[i];
        const uint32_t size = element_bytes(s->element);
        const uint32_t start = (end + 63U) & ~(uint32_t)63U; /* n_bytes < 2^32 - 64, so it does not wrap */
        const int is_first = (i < 4U) ? (int)1 : (int)0;
        if ((size == 0U) || (((uint64_t)s->count * size) != s->n_bytes) || (((uint64_t)s->rows * s->cols) != s->count) ||
            (s->offset != start) || (start > n_bytes) || (s->n_bytes > (n_bytes - start))) {
            return APR_VIEW_E_SECTION;
        }
        if ((s->kind < APR_KIND_SKIPPED) && (((types_of_kind(s->kind) >> s->element) & 1U) == 0U)) {
            return APR_VIEW_E_SECTION;
        }
        if ((is_first != 0) ? (s->kind != (i + 1U)) : (s->kind <= APR_KIND_STAGES)) {
            return APR_VIEW_E_SECTION;
        }
        end = start + s->n_bytes;
    }
    return APR_VIEW_OK;
}

/* Every value has a type, a size and a place inside the workspace. */
static apr_view_status check_values(const apr_view *view)
{
    const apr_native_head *const head = view->head;
    const uint32_t source = (head->source == 1U) ? APR_VALUE_F32 : (APR_VALUE_TEXT + (head->source - 2U));
    if ((head->source < 1U) || (head->source > 3U) || (view->value[0].element != source) ||
        (view->value[0].size != head->n_features) || (head->n_features > APR_MAX_ELEMENTS) ||
        ((head->source == 1U) != (head->n_features > 0U))) {
        return APR_VIEW_E_STEP;
    }
    if ((head->value_words > APR_MAX_WORDS) || (head->scratch_words > APR_MAX_WORDS)) {
        return APR_VIEW_E_PLACE;
    }
    APR_LOOP(apr_view_values, APR_BY_ARGUMENT);
    for (uint32_t i = 1U; i <= head->n_steps; ++i) {
        APR_BODY(apr_view_values, APR_BY_ARGUMENT);
        const apr_native_value *const v = &view->value[i];
        if ((v->element < APR_VALUE_F32) || (v->element > APR_VALUE_I32) || (v->size == 0U) ||
            (v->size > APR_MAX_ELEMENTS)) {
            return APR_VIEW_E_STEP;
        }
        if ((v->at > head->value_words) || (v->size > (head->value_words - v->at))) {
            return APR_VIEW_E_PLACE;
        }
    }
    return APR_VIEW_OK;
}

/* Inputs exist before their step, are computed whenever it is, and do not lie where its result goes. */
static apr_view_status check_inputs(const apr_view *view, uint32_t index)
{
    const apr_native_step *const step = &view->step[index];
    const apr_native_value *const y = &view->value[index + 1U];
    const uint32_t n_inputs = view->section[2].count;
    if ((step->first_input > n_inputs) || (step->n_inputs > (n_inputs - step->first_input)) || (step->n_inputs == 0U)) {
        return APR_VIEW_E_STEP;
    }
    APR_LOOP(apr_view_inputs, APR_BY_ARGUMENT);
    for (uint32_t k = 0U; k < step->n_inputs; ++k) {
        APR_BODY(apr_view_inputs, APR_BY_ARGUMENT);
        const uint32_t v = apr_input_of(view, step, k);
        if (v > index) {
            return APR_VIEW_E_STEP;
        }
        if (v > 0U) {
            const apr_native_value *const x = &view->value[v];
            if ((view->step[v - 1U].needed & step->needed) != step->needed) {
                return APR_VIEW_E_STEP;
            }
            if ((x->at < (y->at + y->size)) && (y->at < (x->at + x->size))) {
                return APR_VIEW_E_PLACE;
            }
        }
    }
    return APR_VIEW_OK;
}

static apr_view_status table_or(int is_sound)
{
    return (is_sound != 0) ? APR_VIEW_OK : APR_VIEW_E_TABLE;
}

static apr_view_status step_or(int is_sound)
{
    return (is_sound != 0) ? APR_VIEW_OK : APR_VIEW_E_STEP;
}

#if APR_VIEW_DENSE
static apr_view_status check_dense(const apr_view *view, const apr_native_step *step, uint32_t n_in, uint32_t n_out)
{
    const uint32_t order = step->parameter[0];
    if ((order > 2U) || !apr_takes(view, step, 0U, APR_VALUE_F32, n_in) || !apr_makes(view, step, APR_VALUE_F32, n_out)) {
        return APR_VIEW_E_STEP;
    }
    return table_or(apr_is_table(view, step->table[0], APR_TYPE_F32, n_out, n_in) &&
                    ((order == 2U) || apr_is_table(view, step->table[1], APR_TYPE_F32, n_out, 1U)));
}
#endif

#if APR_VIEW_DISTANCES
static apr_view_status check_neighbours(const apr_view *view, const apr_native_step *step, uint32_t n_in, uint32_t n_out)
{
    const apr_native_section *const points = apr_section_of(view, step->table[0]);
    const uint32_t classes = step->table[1];
    const uint32_t k = step->parameter[3];
    if (!apr_takes(view, step, 0U, APR_VALUE_F32, n_in) || !apr_makes(view, step, APR_VALUE_F32, n_out) ||
        (step->parameter[0] > 2U) || (step->parameter[2] > 1U) || (step->parameter[4] != n_out)) {
        return APR_VIEW_E_STEP;
    }
#if !APR_VIEW_POWERS
    if (step->parameter[0] == 2U) {
        return APR_VIEW_E_LEFT_OUT;
    }
#endif
    if ((points == NULL) || !apr_is_table(view, step->table[0], APR_TYPE_F32, points->rows, n_in) ||
        !apr_is_table(view, classes, APR_TYPE_U8 | APR_TYPE_U16 | APR_TYPE_I32, points->rows, 1U)) {
        return APR_VIEW_E_TABLE;
    }
    if ((k == 0U) || (k > points->rows) || (k > (view->head->scratch_words / 2U))) {
        return APR_VIEW_E_PLACE;
    }
    APR_LOOP(apr_view_classes, APR_BY_ARGUMENT);
    for (uint32_t p = 0U; p < points->rows; ++p) {
        APR_BODY(apr_view_classes, APR_BY_ARGUMENT);
        if (apr_element(view, classes, p) >= n_out) {
            return APR_VIEW_E_TABLE;
        }
    }
    return APR_VIEW_OK;
}
#endif

#if APR_VIEW_GAUSS
static apr_view_status check_gauss(const apr_view *view, const apr_native_step *step, uint32_t n_in, uint32_t n_out)
{
    const uint32_t start = step->table[2];
    const uint32_t offset = step->table[3];
    if (!apr_takes(view, step, 0U, APR_VALUE_F32, n_in) || !apr_makes(view, step, APR_VALUE_F32, n_out)) {
        return APR_VIEW_E_STEP;
    }
    return table_or(apr_is_table(view, step->table[0], APR_TYPE_F32, n_out, n_in) &&
                    apr_is_table(view, step->table[1], APR_TYPE_F32, n_out, n_in) &&
                    ((start == APR_NO_TABLE) || apr_is_table(view, start, APR_TYPE_F32, n_out, 1U)) &&
                    ((offset == APR_NO_TABLE) || apr_is_table(view, offset, APR_TYPE_F32, n_out, n_in)));
}
#endif

static apr_view_status check_map(const apr_view *view, const apr_native_step *step, uint32_t n)
{
    const uint32_t n_stages = view->section[3].count;
    const uint32_t first = step->parameter[1];
    const uint32_t count = step->parameter[2];
    if (!apr_takes(view, step, 0U, APR_VALUE_F32, n) || !apr_makes(view, step, APR_VALUE_F32, n) || (first > n_stages) ||
        (count > (n_stages - first))) {
        return APR_VIEW_E_STEP;
    }
    APR_LOOP(apr_view_stages, APR_BY_ARGUMENT);
    for (uint32_t i = first; i < (first + count); ++i) {
        APR_BODY(apr_view_stages, APR_BY_ARGUMENT);
        const apr_native_stage *const stage = &view->stage[i];
        if (stage->verb > APR_VERB_KEEP) {
            return APR_VIEW_E_STEP;
        }
#if !APR_VIEW_FUNCTIONS
        if ((stage->verb >= APR_VERB_EXP) && (stage->verb <= APR_VERB_GELU)) {
            return APR_VIEW_E_LEFT_OUT;
        }
#endif
        if (((stage->each != APR_NO_TABLE) && !apr_is_table(view, stage->each, APR_TYPE_F32, n, 1U)) ||
            ((stage->verb == APR_VERB_KEEP) && !apr_is_table(view, stage->mask, APR_TYPE_U8, n, 1U))) {
            return APR_VIEW_E_TABLE;
        }
    }
    return APR_VIEW_OK;
}

static apr_view_status check_concat(const apr_view *view, const apr_native_step *step)
{
    uint32_t size = 0U;
    APR_LOOP(apr_view_parts, APR_BY_ARGUMENT);
    for (uint32_t k = 0U; k < step->n_inputs; ++k) {
        APR_BODY(apr_view_parts, APR_BY_ARGUMENT);
        const apr_native_value *const v = &view->value[apr_input_of(view, step, k)];
        if ((v->element != APR_VALUE_F32) || (size > APR_MAX_ELEMENTS)) {
            return APR_VIEW_E_STEP;
        }
        size += v->size; /* both at most 65,536 */
    }
    return step_or(apr_makes(view, step, APR_VALUE_F32, size));
}

static apr_view_status check_lookup(const apr_view *view, const apr_native_step *step, uint32_t n_in, uint32_t n_out)
{
    const uint32_t element = (step->parameter[0] == 0U) ? APR_VALUE_I32 : APR_VALUE_U16;
    if (!apr_takes(view, step, 0U, element, n_in) || (n_out > n_in)) {
        return APR_VIEW_E_STEP;
    }
    if (!apr_is_list(view, step->table[0], APR_TYPE_F32 | APR_TYPE_I32)) {
        return APR_VIEW_E_TABLE;
    }
    return step_or(apr_makes(view, step, (view->section[step->table[0]].element == 6U) ? APR_VALUE_F32 : APR_VALUE_I32,
                             n_out));
}

#if APR_VIEW_TREES
/* 1 when a reference is a leaf that exists, or a node behind `from`. */
static int leads_on(int32_t reference, uint32_t from, uint32_t n_nodes, uint32_t n_leaves)
{
    int fits;
    if (reference < 0) {
        const int32_t leaf = -1 - reference;
        fits = ((uint32_t)leaf < n_leaves) ? (int)1 : (int)0;
    } else {
        fits = (((uint32_t)reference >= from) && ((uint32_t)reference < n_nodes)) ? (int)1 : (int)0;
    }
    return fits;
}

static apr_view_status check_trees(const apr_view *view, const apr_native_step *step, uint32_t n_in)
{
    const apr_native_section *const nodes = apr_section_of(view, step->table[0]);
    const uint32_t n_leaves = step->parameter[0];
    if (!apr_takes(view, step, 0U, APR_VALUE_F32, n_in) || (step->parameter[1] != n_in) || (step->parameter[2] != 0U)) {
        return APR_VIEW_E_STEP;
    }
    if ((nodes == NULL) || (nodes->kind != APR_KIND_NODES) || !apr_is_list(view, step->table[1], APR_TYPE_I32)) {
        return APR_VIEW_E_TABLE;
    }
    const uint32_t n_nodes = nodes->count;
    const uint32_t n_trees = view->section[step->table[1]].count;
    const int32_t *const root = (const int32_t *)apr_elements(view, step->table[1]);
    APR_LOOP(apr_view_roots, APR_BY_ARGUMENT);
    for (uint32_t t = 0U; t < n_trees; ++t) {
        APR_BODY(apr_view_roots, APR_BY_ARGUMENT);
        if (!leads_on(root[t], 0U, n_nodes, n_leaves)) {
            return APR_VIEW_E_TREE;
        }
    }
    const apr_short_node *const narrow = (const apr_short_node *)apr_elements(view, step->table[0]);
    const apr_long_node *const wide = (const apr_long_node *)apr_elements(view, step->table[0]);
    APR_LOOP(apr_view_nodes, APR_BY_ARGUMENT);
    for (uint32_t i = 0U; i < n_nodes; ++i) {
        APR_BODY(apr_view_nodes, APR_BY_ARGUMENT);
        const int is_short = (nodes->element == 19U) ? (int)1 : (int)0;
        const int32_t left = (is_short != 0) ? narrow[i].left : wide[i].left;
        const int32_t right = (is_short != 0) ? narrow[i].right : wide[i].right;
        const uint32_t feature = (is_short != 0) ? narrow[i].feature : wide[i].feature;
        const uint32_t flags = (is_short != 0) ? narrow[i].flags : wide[i].flags;
        if ((feature >= n_in) || (flags != 0U) || !leads_on(left, i + 1U, n_nodes, n_leaves) ||
            !leads_on(right, i + 1U, n_nodes, n_leaves)) {
            return APR_VIEW_E_TREE;
        }
    }
    return APR_VIEW_OK;
}

static apr_view_status check_tree_step(const apr_view *view, const apr_native_step *step, uint32_t n_in, uint32_t n_out)
{
    const uint32_t n_leaves = step->parameter[0];
    apr_view_status status = check_trees(view, step, n_in);
    if (status != APR_VIEW_OK) {
        return status;
    }
    const uint32_t n_trees = view->section[step->table[1]].count;
    switch (step->op) {
    case APR_OP_TREE_LEAF:
        status = step_or((n_trees == 1U) && apr_makes(view, step, APR_VALUE_I32, 1U));
        break;
    case APR_OP_TREE_VOTES: /* a vote counts in 16 bits */
        status = step_or((n_trees <= 65535U) && (n_leaves <= n_out) && (step->parameter[3] == n_out) &&
                         apr_makes(view, step, APR_VALUE_U16, n_out));
        break;
    default: /* APR_OP_TREE_SUM */
        if (!apr_makes(view, step, APR_VALUE_F32, 1U)) {
            status = APR_VIEW_E_STEP;
        } else {
            status = table_or(apr_is_list(view, step->table[2], APR_TYPE_F32) &&
                              (n_leaves <= view->section[step->table[2]].count));
        }
        break;
    }
    return status;
}
#endif

static apr_view_status check_argmax(const apr_view *view, const apr_native_step *step, uint32_t n_in)
{
    const uint32_t labels = step->table[0];
    const uint32_t element = (step->parameter[0] == 0U) ? APR_VALUE_F32 : APR_VALUE_U16;
    if (!apr_takes(view, step, 0U, element, n_in) || !apr_makes(view, step, APR_VALUE_I32, 1U) ||
        (step->parameter[0] > 1U)) {
        return APR_VIEW_E_STEP;
    }
    return table_or((labels == APR_NO_TABLE) || apr_is_table(view, labels, APR_TYPE_I32, n_in, 1U));
}

static apr_view_status check_top_mix(const apr_view *view, const apr_native_step *step, uint32_t n)
{
    const uint32_t k = step->parameter[1];
    if (!apr_takes(view, step, 0U, APR_VALUE_F32, n) || !apr_takes(view, step, 1U, APR_VALUE_F32, n) ||
        !apr_makes(view, step, APR_VALUE_F32, 1U) || (k == 0U) || (k > n)) {
        return APR_VIEW_E_STEP;
    }
    return (k <= view->head->scratch_words) ? APR_VIEW_OK : APR_VIEW_E_PLACE;
}

/* An operation that this build knows fits its inputs, its result and its tables. */
static apr_view_status check_op(const apr_view *view, const apr_native_step *step)
{
    const uint32_t n_in = view->value[apr_input_of(view, step, 0U)].size;
    const uint32_t n_out = apr_result_of(view, step)->size;
    apr_view_status status = APR_VIEW_E_LEFT_OUT;
    switch (step->op) {
#if APR_VIEW_DENSE
    case APR_OP_DENSE:
        status = check_dense(view, step, n_in, n_out);
        break;
#endif
#if APR_VIEW_DISTANCES
    case APR_OP_SQUARED_DISTANCE:
        if (!apr_takes(view, step, 0U, APR_VALUE_F32, n_in) || !apr_makes(view, step, APR_VALUE_F32, n_out)) {
            status = APR_VIEW_E_STEP;
        } else {
            status = table_or(apr_is_table(view, step->table[0], APR_TYPE_F32, n_out, n_in));
        }
        break;
    case APR_OP_NEIGHBOURS:
        status = check_neighbours(view, step, n_in, n_out);
        break;
    case APR_OP_ARGMIN:
        status = step_or(apr_takes(view, step, 0U, APR_VALUE_F32, n_in) && apr_makes(view, step, APR_VALUE_I32, 1U));
        break;
#endif
#if APR_VIEW_GAUSS
    case APR_OP_GAUSS:
        status = check_gauss(view, step, n_in, n_out);
        break;
#endif
    case APR_OP_MAP:
        status = check_map(view, step, n_in);
        break;
#if APR_VIEW_FUNCTIONS
    case APR_OP_SOFTMAX:
#endif
    case APR_OP_NORMALISE:
        status = step_or(apr_takes(view, step, 0U, APR_VALUE_F32, n_in) && apr_makes(view, step, APR_VALUE_F32, n_in));
        break;
    case APR_OP_COMPLEMENT:
        status = step_or(apr_takes(view, step, 0U, APR_VALUE_F32, 1U) && apr_makes(view, step, APR_VALUE_F32, 2U));
        break;
    case APR_OP_TOP_MIX:
        status = check_top_mix(view, step, n_in);
        break;
    case APR_OP_CONCAT:
        status = check_concat(view, step);
        break;
    case APR_OP_ARGMAX:
        status = check_argmax(view, step, n_in);
        break;
    case APR_OP_THRESHOLD:
        status = step_or((step->parameter[0] <= 1U) && apr_takes(view, step, 0U, APR_VALUE_F32, 1U) &&
                         apr_makes(view, step, APR_VALUE_I32, 1U));
        break;
    case APR_OP_LOOKUP:
        status = check_lookup(view, step, n_in, n_out);
        break;
#if APR_VIEW_TREES
    case APR_OP_TREE_LEAF:
    case APR_OP_TREE_VOTES:
    case APR_OP_TREE_SUM:
        status = check_tree_step(view, step, n_in, n_out);
        break;
#endif
#if APR_VIEW_TEXT
    case APR_OP_TERM_COUNTS:
    case APR_OP_TFIDF:
    case APR_OP_SUGGEST:
        status = apr_view_check_text(view, step);
        break;
#endif
    default:
        if ((step->op == 0U) || (step->op > APR_OP_SUGGEST)) {
            status = APR_VIEW_E_STEP;
        }
        break;
    }
    return status;
}

/* Scores and label are values that are computed for them. */
static apr_view_status check_results(const apr_view *view)
{
    const apr_native_head *const head = view->head;
    const uint32_t s = head->scores;
    const uint32_t l = head->label;
    if ((s == 0U) || (s > head->n_steps) || (view->value[s].element != APR_VALUE_F32) ||
        (view->value[s].size != head->n_outputs) || ((view->step[s - 1U].needed & APR_NEEDED_SCORES) == 0U)) {
        return APR_VIEW_E_STEP;
    }
    if ((l == APR_NO_LABEL) != (head->n_classes == 0U)) {
        return APR_VIEW_E_STEP;
    }
    return step_or((l == APR_NO_LABEL) ||
                   ((l > 0U) && (l <= head->n_steps) && (view->value[l].element == APR_VALUE_I32) &&
                    (view->value[l].size == 1U) && ((view->step[l - 1U].needed & APR_NEEDED_LABEL) != 0U)));
}

/* Head and sections; afterwards all pointers of the view are set. */
static apr_view_status open_sections(apr_view *view, const void *payload, size_t n)
{
    const apr_native_head *const head = (const apr_native_head *)payload;
    if (((uintptr_t)(const uint8_t *)payload % APR_VIEW_ALIGNMENT) != 0U) {
        return APR_VIEW_E_ALIGNMENT;
    }
    if ((n < 64U) || (head->n_bytes != n) || ((n % 64U) != 0U) || (n > 0xFFFFFF00U)) {
        return APR_VIEW_E_SIZE;
    }
    if ((head->magic[0] != 0x41U) || (head->magic[1] != 0x50U) || (head->magic[2] != 0x4EU) ||
        (head->magic[3] != 0x50U) || (head->major != 1U)) {
        return APR_VIEW_E_VERSION;
    }
    if ((head->n_sections < 4U) || (head->n_sections > ((head->n_bytes - 64U) / 32U))) {
        return APR_VIEW_E_SECTION;
    }
    view->payload = (const uint8_t *)payload;
    view->head = head;
    view->section = (const apr_native_section *)(const void *)&view->payload[64];
    const apr_view_status status = check_sections(view);
    if (status == APR_VIEW_OK) {
        view->step = (const apr_native_step *)apr_elements(view, 0U);
        view->value = (const apr_native_value *)apr_elements(view, 1U);
        view->input = (const uint32_t *)apr_elements(view, 2U);
        view->stage = (const apr_native_stage *)apr_elements(view, 3U);
    }
    return status;
}

apr_view_status apr_view_open(apr_view *view, const void *payload, size_t n)
{
    apr_view_status status = open_sections(view, payload, n);
    if (status != APR_VIEW_OK) {
        return status;
    }
    if ((view->head->n_steps == 0U) || (view->section[0].count != view->head->n_steps) ||
        (view->section[1].count != (view->head->n_steps + 1U))) {
        return APR_VIEW_E_STEP;
    }
    status = check_values(view);
    APR_LOOP(apr_view_steps, APR_BY_ARGUMENT);
    for (uint32_t i = 0U; (status == APR_VIEW_OK) && (i < view->head->n_steps); ++i) {
        APR_BODY(apr_view_steps, APR_BY_ARGUMENT);
        status = check_inputs(view, i);
        if (status == APR_VIEW_OK) {
            status = check_op(view, &view->step[i]);
        }
    }
    return (status == APR_VIEW_OK) ? check_results(view) : status;
}
