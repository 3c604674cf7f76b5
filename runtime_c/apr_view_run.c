/* apr_view_run.c: computes from an open native payload. See apr_view.h. */
#include "apr_view_parts.h"

#if APR_VIEW_FUNCTIONS || APR_VIEW_POWERS
#include "apr_math.h"
#endif
#if APR_VIEW_DISTANCES
#include "apr_sqrt.h"
#endif

/* Where a value of floats lies. */
static const float *value_of(const apr_run *run, uint32_t value)
{
    return (value == 0U) ? run->x : &run->words[run->view->value[value].at];
}

static void put_word(float *y, uint32_t word)
{
    *y = apr_from_bits(word);
}

static float *scratch_of(const apr_run *run)
{
    return &run->words[run->view->head->value_words];
}

#if APR_VIEW_DENSE
static void run_dense(const apr_view *view, const apr_native_step *step, const float *x, float *y)
{
    const uint32_t order = step->parameter[0];
    const uint32_t rows = view->section[step->table[0]].rows;
    const uint32_t cols = view->section[step->table[0]].cols;
    const float *weight = apr_floats(view, step->table[0]);
    const float *const bias = (order == 2U) ? NULL : apr_floats(view, step->table[1]);
    APR_LOOP(apr_view_dense_rows, APR_BY_ARGUMENT);
    for (uint32_t r = 0U; r < rows; ++r) {
        APR_BODY(apr_view_dense_rows, APR_BY_ARGUMENT);
        float acc;
        uint32_t c = 0U;
        if (order == 1U) { /* the sum starts with its first product: +0.0 before it would change a -0.0 */
            acc = weight[0] * x[0];
            c = 1U;
        } else {
            acc = (order == 0U) ? bias[r] : 0.0F;
        }
        APR_LOOP(apr_view_dense_cols, APR_BY_ARGUMENT);
        for (; c < cols; ++c) {
            APR_BODY(apr_view_dense_cols, APR_BY_ARGUMENT);
            acc += weight[c] * x[c];
        }
        y[r] = (order == 1U) ? (acc + bias[r]) : acc;
        weight = &weight[cols];
    }
}
#endif

#if APR_VIEW_DISTANCES
static float squared_distance(const float *x, const float *point, uint32_t n)
{
    float acc = 0.0F;
    APR_LOOP(apr_view_squares, APR_BY_ARGUMENT);
    for (uint32_t c = 0U; c < n; ++c) {
        APR_BODY(apr_view_squares, APR_BY_ARGUMENT);
        const float d = x[c] - point[c];
        acc += d * d;
    }
    return acc;
}

static void run_squared_distance(const apr_view *view, const apr_native_step *step, const float *x, float *y)
{
    const apr_native_section *const points = &view->section[step->table[0]];
    const float *point = apr_floats(view, step->table[0]);
    APR_LOOP(apr_view_points, APR_BY_ARGUMENT);
    for (uint32_t p = 0U; p < points->rows; ++p) {
        APR_BODY(apr_view_points, APR_BY_ARGUMENT);
        y[p] = squared_distance(x, point, points->cols);
        point = &point[points->cols];
    }
}

static float manhattan_distance(const float *x, const float *point, uint32_t n)
{
    float acc = 0.0F;
    APR_LOOP(apr_view_absolutes, APR_BY_ARGUMENT);
    for (uint32_t c = 0U; c < n; ++c) {
        APR_BODY(apr_view_absolutes, APR_BY_ARGUMENT);
        const float d = x[c] - point[c];
        acc += (d < 0.0F) ? -d : d;
    }
    return acc;
}

#if APR_VIEW_POWERS
static float minkowski_distance(const float *x, const float *point, uint32_t n, float power)
{
    float acc = 0.0F;
    APR_LOOP(apr_view_powers, APR_BY_ARGUMENT);
    for (uint32_t c = 0U; c < n; ++c) {
        APR_BODY(apr_view_powers, APR_BY_ARGUMENT);
        const float d = x[c] - point[c];
        acc += apr_powf((d < 0.0F) ? -d : d, power);
    }
    return apr_powf(acc, 1.0F / power);
}
#endif

static float distance_to(const apr_native_step *step, const float *x, const float *point, uint32_t n)
{
    float d;
#if APR_VIEW_POWERS
    if (step->parameter[0] == 2U) {
        return minkowski_distance(x, point, n, apr_from_bits(step->parameter[1]));
    }
#endif
    if (step->parameter[0] == 0U) {
        d = apr_sqrtf(squared_distance(x, point, n));
    } else {
        d = manhattan_distance(x, point, n);
    }
    return d;
}

/* The nearest points and their distances, kept sorted while the points come in order, so equal distances keep that
 * order. A NaN in the list is a place that is still free. Gives 1 when any distance was NaN. */
static int find_nearest(const apr_view *view, const apr_native_step *step, const float *x, float *near, float *who)
{
    const apr_native_section *const points = &view->section[step->table[0]];
    const uint32_t k = step->parameter[3];
    const float *point = apr_floats(view, step->table[0]);
    uint32_t found = 0U;
    float last = APR_NAN;
    int nan = 0;
    APR_LOOP(apr_view_clear, APR_BY_ARGUMENT);
    for (uint32_t i = 0U; i < k; ++i) {
        APR_BODY(apr_view_clear, APR_BY_ARGUMENT);
        near[i] = APR_NAN;
        put_word(&who[i], 0U);
    }
    APR_LOOP(apr_view_near, APR_BY_ARGUMENT);
    for (uint32_t p = 0U; p < points->rows; ++p) {
        APR_BODY(apr_view_near, APR_BY_ARGUMENT);
        const float d = distance_to(step, x, point, points->cols);
        if (!(d >= last)) {
            if (d != d) {
                nan = 1;
            } else {
                uint32_t at = found; /* the first free place, or the last one */
                found += (found != (k - 1U)) ? 1U : 0U;
                APR_LOOP(apr_view_shift, APR_BY_ARGUMENT);
                while ((at > 0U) && (d < near[at - 1U])) {
                    APR_BODY(apr_view_shift, APR_BY_ARGUMENT);
                    near[at] = near[at - 1U];
                    who[at] = who[at - 1U];
                    --at;
                }
                near[at] = d;
                put_word(&who[at], p);
                last = near[k - 1U];
            }
        }
        point = &point[points->cols];
    }
    return nan;
}

static void run_neighbours(const apr_run *run, const apr_native_step *step, const float *x, float *y)
{
    const apr_view *const view = run->view;
    const uint32_t k = step->parameter[3];
    const uint32_t n_classes = step->parameter[4];
    const float closest = apr_from_bits(step->parameter[5]);
    float *const near = scratch_of(run);
    float *const who = &near[k];
    const int nan = find_nearest(view, step, x, near, who);
    APR_LOOP(apr_view_votes, APR_BY_ARGUMENT);
    for (uint32_t i = 0U; i < n_classes; ++i) {
        APR_BODY(apr_view_votes, APR_BY_ARGUMENT);
        y[i] = (nan != 0) ? APR_NAN : 0.0F;
    }
    APR_LOOP(apr_view_weights, APR_BY_ARGUMENT);
    for (uint32_t i = 0U; i < k; ++i) {
        APR_BODY(apr_view_weights, APR_BY_ARGUMENT);
        const uint32_t c = apr_element(view, step->table[1], apr_bits(who[i]));
        if (step->parameter[2] != 0U) {
            y[c] += (near[i] < closest) ? 1.0F : (1.0F / near[i]);
        } else {
            y[c] += 1.0F;
        }
    }
}

static void run_argmin(uint32_t n, const float *x, float *y)
{
    float best = APR_INFINITY;
    uint32_t index = 0U;
    APR_LOOP(apr_view_argmin, APR_BY_ARGUMENT);
    for (uint32_t i = 0U; i < n; ++i) {
        APR_BODY(apr_view_argmin, APR_BY_ARGUMENT);
        if (x[i] < best) {
            best = x[i];
            index = i;
        }
    }
    put_word(y, index);
}
#endif

#if APR_VIEW_GAUSS
static void run_gauss(const apr_view *view, const apr_native_step *step, const float *x, float *y)
{
    const apr_native_section *const shape = &view->section[step->table[0]];
    const float *const centre = apr_floats(view, step->table[0]);
    const float *const divisor = apr_floats(view, step->table[1]);
    const float *const start = (step->table[2] == APR_NO_TABLE) ? NULL : apr_floats(view, step->table[2]);
    const float *const offset = (step->table[3] == APR_NO_TABLE) ? NULL : apr_floats(view, step->table[3]);
    uint32_t i = 0U;
    APR_LOOP(apr_view_gauss_classes, APR_BY_ARGUMENT);
    for (uint32_t k = 0U; k < shape->rows; ++k) {
        APR_BODY(apr_view_gauss_classes, APR_BY_ARGUMENT);
        float acc = (start != NULL) ? start[k] : 0.0F;
        APR_LOOP(apr_view_gauss_cols, APR_BY_ARGUMENT);
        for (uint32_t c = 0U; c < shape->cols; ++c) {
            APR_BODY(apr_view_gauss_cols, APR_BY_ARGUMENT);
            const float d = x[c] - centre[i];
            const float quotient = (d * d) / divisor[i];
            acc = (offset != NULL) ? (acc + (offset[i] - quotient)) : (acc - quotient);
            ++i;
        }
        y[k] = acc;
    }
}
#endif

#if APR_VIEW_FUNCTIONS
static float function_of(uint32_t verb, float v)
{
    float r;
    switch (verb) {
    case APR_VERB_EXP:
        r = apr_expf(v);
        break;
    case APR_VERB_EXP2:
        r = apr_exp2f(v);
        break;
    case APR_VERB_SIGMOID:
        r = apr_sigmoidf(v);
        break;
    case APR_VERB_TANH:
        r = apr_tanhf(v);
        break;
    default: /* APR_VERB_GELU */
        r = apr_geluf(v);
        break;
    }
    return r;
}
#endif

static float stage_of(uint32_t verb, float v, float operand)
{
    float r;
    switch (verb) {
    case APR_VERB_ADD:
        r = v + operand;
        break;
    case APR_VERB_SUB:
        r = v - operand;
        break;
    case APR_VERB_MUL:
        r = v * operand;
        break;
    case APR_VERB_DIV:
        r = v / operand;
        break;
    case APR_VERB_NEG:
        r = -v;
        break;
    case APR_VERB_RELU:
        r = (v > 0.0F) ? v : 0.0F;
        break;
    case APR_VERB_LEAKY_RELU:
        r = (v > 0.0F) ? v : (v * operand);
        break;
    default:
#if APR_VIEW_FUNCTIONS
        r = function_of(verb, v);
#else
        r = v; /* refused when the payload was opened */
#endif
        break;
    }
    return r;
}

/* Stage after stage, each on all elements; every operation rounds once, so their order does not matter. */
static void run_map(const apr_view *view, const apr_native_step *step, uint32_t n, const float *x, float *y)
{
    const float *from = x;
    if (step->parameter[2] == 0U) { /* a scaler that leaves everything as it is */
        APR_LOOP(apr_view_map_nothing, APR_BY_ARGUMENT);
        for (uint32_t i = 0U; i < n; ++i) {
            APR_BODY(apr_view_map_nothing, APR_BY_ARGUMENT);
            y[i] = x[i];
        }
    }
    APR_LOOP(apr_view_map_stages, APR_BY_ARGUMENT);
    for (uint32_t s = 0U; s < step->parameter[2]; ++s) {
        APR_BODY(apr_view_map_stages, APR_BY_ARGUMENT);
        const apr_native_stage *const stage = &view->stage[step->parameter[1] + s];
        const float *const each = (stage->each == APR_NO_TABLE) ? NULL : apr_floats(view, stage->each);
        const float constant = apr_from_bits(stage->constant);
        if (stage->verb == APR_VERB_KEEP) {
            const uint8_t *const mask = (const uint8_t *)apr_elements(view, stage->mask);
            APR_LOOP(apr_view_keep, APR_BY_ARGUMENT);
            for (uint32_t i = 0U; i < n; ++i) {
                APR_BODY(apr_view_keep, APR_BY_ARGUMENT);
                y[i] = (mask[i] != 0U) ? from[i] : constant;
            }
        } else {
            APR_LOOP(apr_view_map, APR_BY_ARGUMENT);
            for (uint32_t i = 0U; i < n; ++i) {
                APR_BODY(apr_view_map, APR_BY_ARGUMENT);
                y[i] = stage_of(stage->verb, from[i], (each != NULL) ? each[i] : constant);
            }
        }
        from = y;
    }
}

#if APR_VIEW_FUNCTIONS
static void run_softmax(const apr_native_step *step, uint32_t n, const float *x, float *y)
{
    float largest = -APR_INFINITY;
    float total = 0.0F;
    APR_LOOP(apr_view_largest, APR_BY_ARGUMENT);
    for (uint32_t i = 0U; i < n; ++i) {
        APR_BODY(apr_view_largest, APR_BY_ARGUMENT);
        if (x[i] > largest) {
            largest = x[i];
        }
    }
    APR_LOOP(apr_view_exp, APR_BY_ARGUMENT);
    for (uint32_t i = 0U; i < n; ++i) {
        APR_BODY(apr_view_exp, APR_BY_ARGUMENT);
        y[i] = apr_expf(x[i] - largest);
        total += y[i];
    }
    const float reciprocal = 1.0F / total;
    APR_LOOP(apr_view_share, APR_BY_ARGUMENT);
    for (uint32_t i = 0U; i < n; ++i) {
        APR_BODY(apr_view_share, APR_BY_ARGUMENT);
        y[i] = (step->parameter[1] != 0U) ? (y[i] * reciprocal) : (y[i] / total);
    }
}
#endif

static void run_normalise(const apr_native_step *step, uint32_t n, const float *x, float *y)
{
    const float uniform = 1.0F / (float)n;
    const float floor = apr_from_bits(step->parameter[2]);
    float total = 0.0F;
    APR_LOOP(apr_view_total, APR_BY_ARGUMENT);
    for (uint32_t i = 0U; i < n; ++i) {
        APR_BODY(apr_view_total, APR_BY_ARGUMENT);
        total += x[i];
    }
    APR_LOOP(apr_view_divide, APR_BY_ARGUMENT);
    for (uint32_t i = 0U; i < n; ++i) {
        APR_BODY(apr_view_divide, APR_BY_ARGUMENT);
        y[i] = ((step->parameter[1] == 0U) || (total > floor)) ? (x[i] / total) : uniform;
    }
}

static void run_top_mix(const apr_run *run, const apr_native_step *step, uint32_t n, const float *weight,
                        const float *value, float *y)
{
    const uint32_t k = step->parameter[1];
    float *const order = scratch_of(run); /* indices, as bits */
    uint32_t found = 0U;
    float total = 0.0F;
    float mixed = 0.0F;
    APR_LOOP(apr_view_mix_each, APR_BY_ARGUMENT);
    for (uint32_t e = 0U; e < n; ++e) {
        APR_BODY(apr_view_mix_each, APR_BY_ARGUMENT);
        uint32_t at = k;
        if (found < k) {
            at = found;
            ++found;
        } else if (weight[e] > weight[apr_bits(order[k - 1U])]) {
            at = k - 1U;
        } else {
            /* not among the largest so far */
        }
        if (at < k) {
            APR_LOOP(apr_view_mix_shift, APR_BY_ARGUMENT);
            while ((at > 0U) && (weight[e] > weight[apr_bits(order[at - 1U])])) {
                APR_BODY(apr_view_mix_shift, APR_BY_ARGUMENT);
                order[at] = order[at - 1U];
                --at;
            }
            put_word(&order[at], e);
        }
    }
    APR_LOOP(apr_view_mix_total, APR_BY_ARGUMENT);
    for (uint32_t i = 0U; i < k; ++i) {
        APR_BODY(apr_view_mix_total, APR_BY_ARGUMENT);
        total += weight[apr_bits(order[i])];
    }
    APR_LOOP(apr_view_mix, APR_BY_ARGUMENT);
    for (uint32_t i = 0U; i < k; ++i) {
        APR_BODY(apr_view_mix, APR_BY_ARGUMENT);
        const uint32_t e = apr_bits(order[i]);
        mixed += (weight[e] / total) * value[e];
    }
    y[0] = mixed;
}

static void run_concat(const apr_run *run, const apr_native_step *step, float *y)
{
    uint32_t at = 0U;
    APR_LOOP(apr_view_concat_parts, APR_BY_ARGUMENT);
    for (uint32_t k = 0U; k < step->n_inputs; ++k) {
        APR_BODY(apr_view_concat_parts, APR_BY_ARGUMENT);
        const uint32_t v = apr_input_of(run->view, step, k);
        const float *const x = value_of(run, v);
        APR_LOOP(apr_view_concat, APR_BY_ARGUMENT);
        for (uint32_t i = 0U; i < run->view->value[v].size; ++i) {
            APR_BODY(apr_view_concat, APR_BY_ARGUMENT);
            y[at] = x[i];
            ++at;
        }
    }
}

static void run_argmax(const apr_view *view, const apr_native_step *step, uint32_t n, const float *x, float *y)
{
    uint32_t index = 0U;
    int nan = 0;
    if (step->parameter[0] == 0U) {
        float best = x[0];
        nan = (x[0] != x[0]) ? (int)1 : (int)0;
        APR_LOOP(apr_view_argmax, APR_BY_ARGUMENT);
        for (uint32_t i = 1U; i < n; ++i) {
            APR_BODY(apr_view_argmax, APR_BY_ARGUMENT);
            if ((step->parameter[2] != 0U) ? (x[i] >= best) : (x[i] > best)) {
                best = x[i];
                index = i;
            }
            if (x[i] != x[i]) {
                nan = 1;
            }
        }
    } else { /* votes */
        APR_LOOP(apr_view_argmax_votes, APR_BY_ARGUMENT);
        for (uint32_t i = 1U; i < n; ++i) {
            APR_BODY(apr_view_argmax_votes, APR_BY_ARGUMENT);
            if (apr_bits(x[i]) > apr_bits(x[index])) {
                index = i;
            }
        }
    }
    const uint32_t label = (step->table[0] == APR_NO_TABLE) ? index
                                                            : ((const uint32_t *)apr_elements(view, step->table[0]))[index];
    put_word(y, ((nan != 0) && (step->parameter[3] != 0U)) ? 0U : label);
}

static void run_threshold(const apr_native_step *step, const float *x, float *y)
{
    const float limit = apr_from_bits(step->parameter[1]);
    uint32_t label = step->parameter[3];
    if ((step->parameter[0] == 0U) ? (x[0] >= limit) : (x[0] < limit)) {
        label = step->parameter[2];
    }
    put_word(y, label);
}

/* Indices are leaves or votes, which the tool knows to lie in the table; an index outside gives 0 all the same. */
static void run_lookup(const apr_view *view, const apr_native_step *step, uint32_t n_out, const float *x, float *y)
{
    const uint32_t *const table = (const uint32_t *)apr_elements(view, step->table[0]);
    const uint32_t entries = view->section[step->table[0]].count;
    APR_LOOP(apr_view_lookup, APR_BY_ARGUMENT);
    for (uint32_t i = 0U; i < n_out; ++i) {
        APR_BODY(apr_view_lookup, APR_BY_ARGUMENT);
        const uint32_t index = apr_bits(x[i]);
        put_word(&y[i], (index < entries) ? table[index] : 0U);
    }
}

#if APR_VIEW_TREES
/* The leaf that a row reaches from a reference. Children come after their parent, so it ends. A NaN goes right. */
static uint32_t walk_short(const apr_short_node *nodes, const float *x, int32_t at)
{
    int32_t here = at;
    APR_LOOP(apr_view_walk_short, APR_BY_ARGUMENT);
    while (here >= 0) {
        APR_BODY(apr_view_walk_short, APR_BY_ARGUMENT);
        const apr_short_node *const node = &nodes[here];
        here = (x[node->feature] <= node->threshold) ? node->left : node->right;
    }
    here = -1 - here;
    return (uint32_t)here;
}

static uint32_t walk_long(const apr_long_node *nodes, const float *x, int32_t at)
{
    int32_t here = at;
    APR_LOOP(apr_view_walk_long, APR_BY_ARGUMENT);
    while (here >= 0) {
        APR_BODY(apr_view_walk_long, APR_BY_ARGUMENT);
        const apr_long_node *const node = &nodes[here];
        here = (x[node->feature] <= node->threshold) ? node->left : node->right;
    }
    here = -1 - here;
    return (uint32_t)here;
}

static void run_trees(const apr_view *view, const apr_native_step *step, uint32_t n_out, const float *x, float *y)
{
    const void *const nodes = apr_elements(view, step->table[0]);
    const int is_short = (view->section[step->table[0]].element == 19U) ? (int)1 : (int)0;
    const int32_t *const root = (const int32_t *)apr_elements(view, step->table[1]);
    const uint32_t n_trees = view->section[step->table[1]].count;
    const float *const values = (step->op == APR_OP_TREE_SUM) ? apr_floats(view, step->table[2]) : NULL;
    float total = apr_from_bits(step->parameter[3]); /* of a sum; else unused */
    if (step->op == APR_OP_TREE_VOTES) {
        APR_LOOP(apr_view_no_votes, APR_BY_ARGUMENT);
        for (uint32_t c = 0U; c < n_out; ++c) {
            APR_BODY(apr_view_no_votes, APR_BY_ARGUMENT);
            y[c] = 0.0F;
        }
    }
    APR_LOOP(apr_view_trees, APR_BY_ARGUMENT);
    for (uint32_t t = 0U; t < n_trees; ++t) {
        APR_BODY(apr_view_trees, APR_BY_ARGUMENT);
        const uint32_t leaf = (is_short != 0) ? walk_short((const apr_short_node *)nodes, x, root[t])
                                              : walk_long((const apr_long_node *)nodes, x, root[t]);
        if (values != NULL) {
            total += values[leaf];
        } else if (step->op == APR_OP_TREE_VOTES) {
            put_word(&y[leaf], apr_bits(y[leaf]) + 1U);
        } else {
            put_word(y, leaf);
        }
    }
    if (values != NULL) {
        y[0] = total;
    }
}
#endif

static void run_step(const apr_run *run, const apr_native_step *step)
{
    const apr_view *const view = run->view;
    const uint32_t input = apr_input_of(view, step, 0U);
    const uint32_t n_in = view->value[input].size;
    const apr_native_value *const result = apr_result_of(view, step);
    const float *const x = value_of(run, input);
    float *const y = &run->words[result->at];
    switch (step->op) {
#if APR_VIEW_DENSE
    case APR_OP_DENSE:
        run_dense(view, step, x, y);
        break;
#endif
#if APR_VIEW_DISTANCES
    case APR_OP_SQUARED_DISTANCE:
        run_squared_distance(view, step, x, y);
        break;
    case APR_OP_NEIGHBOURS:
        run_neighbours(run, step, x, y);
        break;
    case APR_OP_ARGMIN:
        run_argmin(n_in, x, y);
        break;
#endif
#if APR_VIEW_GAUSS
    case APR_OP_GAUSS:
        run_gauss(view, step, x, y);
        break;
#endif
    case APR_OP_MAP:
        run_map(view, step, n_in, x, y);
        break;
#if APR_VIEW_FUNCTIONS
    case APR_OP_SOFTMAX:
        run_softmax(step, n_in, x, y);
        break;
#endif
    case APR_OP_NORMALISE:
        run_normalise(step, n_in, x, y);
        break;
    case APR_OP_COMPLEMENT:
        y[0] = 1.0F - x[0];
        y[1] = x[0];
        break;
    case APR_OP_TOP_MIX:
        run_top_mix(run, step, n_in, x, value_of(run, apr_input_of(view, step, 1U)), y);
        break;
    case APR_OP_CONCAT:
        run_concat(run, step, y);
        break;
    case APR_OP_ARGMAX:
        run_argmax(view, step, n_in, x, y);
        break;
    case APR_OP_THRESHOLD:
        run_threshold(step, x, y);
        break;
    case APR_OP_LOOKUP:
        run_lookup(view, step, result->size, x, y);
        break;
#if APR_VIEW_TREES
    case APR_OP_TREE_LEAF:
    case APR_OP_TREE_VOTES:
    case APR_OP_TREE_SUM:
        run_trees(view, step, result->size, x, y);
        break;
#endif
#if APR_VIEW_TEXT
    case APR_OP_TERM_COUNTS:
        apr_view_run_term_counts(run, step, y);
        break;
    case APR_OP_TFIDF:
        apr_view_run_tfidf(run, step, x, y);
        break;
#endif
    default:
        /* apr_view_suggest computes these; others were refused when the payload was opened */
        break;
    }
}

/* All steps that a result needs. */
static void run_steps(const apr_run *run, uint32_t needed)
{
    const apr_native_step *const step = run->view->step;
    APR_LOOP(apr_view_run, APR_BY_ARGUMENT);
    for (uint32_t i = 0U; i < run->view->head->n_steps; ++i) {
        APR_BODY(apr_view_run, APR_BY_ARGUMENT);
        if ((step[i].needed & needed) != 0U) {
            run_step(run, &step[i]);
        }
    }
}

void apr_view_run_scores(const apr_run *run, float *out)
{
    const apr_native_head *const head = run->view->head;
    const float *scores;
    run_steps(run, APR_NEEDED_SCORES);
    scores = value_of(run, head->scores);
    APR_LOOP(apr_view_scores, APR_BY_ARGUMENT);
    for (uint32_t i = 0U; i < head->n_outputs; ++i) {
        APR_BODY(apr_view_scores, APR_BY_ARGUMENT);
        out[i] = scores[i];
    }
}

void apr_view_scores(const apr_view *view, const float *x, float *out, float *workspace)
{
    const apr_run run = {view, x, NULL, 0U, workspace};
    apr_view_run_scores(&run, out);
}

int32_t apr_view_classify(const apr_view *view, const float *x, float *workspace)
{
    const apr_run run = {view, x, NULL, 0U, workspace};
    int32_t label = 0;
    if (view->head->label != APR_NO_LABEL) {
        run_steps(&run, APR_NEEDED_LABEL);
        label = (int32_t)apr_bits(workspace[view->value[view->head->label].at]);
    }
    return label;
}

apr_status apr_view_predict(const apr_view *view, const float *x, size_t n_x, float *out, size_t n_out, float *workspace,
                            size_t n_workspace)
{
    apr_status status = APR_OK;
    if ((x == NULL) || (view->head->source != 1U) || (n_x != view->head->n_features)) {
        status = APR_E_DIMENSION;
    } else if ((out == NULL) || (n_out < view->head->n_outputs) || (workspace == NULL) ||
               (n_workspace < apr_view_workspace(view))) {
        status = APR_E_BUFFER;
    } else if (apr_all_finite(x, n_x) == 0) {
        status = APR_E_NOT_FINITE;
    } else {
        apr_view_scores(view, x, out, workspace);
        if (apr_all_finite(out, view->head->n_outputs) == 0) {
            status = APR_E_NOT_FINITE;
        }
    }
    return status;
}
