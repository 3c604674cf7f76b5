/* apr_view_text.c: vectorizers and completions out of a native payload; see apr_view.h. Left out by APR_VIEW_TEXT 0. */
#include "apr_view_parts.h"

#if APR_VIEW_TEXT

#include "apr_text.h"
#include "apr_tfidf.h"

#define APR_MAX_STRINGS 65534U
#define APR_MAX_TOKENS 16U        /* in an n-gram */
#define APR_MAX_CONTEXT_WORDS 16U /* before the word that is completed */
#define APR_NO_KEY 0xFFFFFFFFU

/* Slots and parameters of a step that completes. */
#define APR_COMMANDS 0U /* and the offsets behind it */
#define APR_COMMAND_LEVEL 2U
#define APR_WORDS 3U
#define APR_CONTEXT 5U
#define APR_NEXT_FIRST 6U
#define APR_NEXT_WORD 7U
#define APR_NEXT_LEVEL 8U
#define APR_SCORE 9U

/* ---- Opening --------------------------------------------------------------------------------------------------- */

/* 1 when the tables in two slots are `count` strings: offsets that never go back, inside the text. */
static int are_strings(const apr_view *view, const apr_native_step *step, uint32_t slot, uint32_t count)
{
    const uint32_t text = step->table[slot];
    const uint32_t offset = step->table[slot + 1U];
    const uint32_t n = ((count > 0U) ? count : 1U) + 1U;
    uint32_t before = 0U;
    if ((count > APR_MAX_STRINGS) || !apr_is_list(view, text, APR_TYPE_U8) ||
        !apr_is_table(view, offset, APR_TYPE_U16 | APR_TYPE_U32, n, 1U)) {
        return 0;
    }
    APR_LOOP(apr_view_offsets, APR_BY_ARGUMENT);
    for (uint32_t i = 0U; i < n; ++i) {
        APR_BODY(apr_view_offsets, APR_BY_ARGUMENT);
        const uint32_t at = apr_element(view, offset, i);
        if ((at < before) || (at > view->section[text].count)) {
            return 0;
        }
        before = at;
    }
    return 1;
}

/* 1 when a list of n elements or more has none above `limit`. */
static int are_below(const apr_view *view, uint32_t index, uint32_t types, uint32_t n, uint32_t limit)
{
    if (!apr_is_list(view, index, types) || (view->section[index].count < n)) {
        return 0;
    }
    APR_LOOP(apr_view_below, APR_BY_ARGUMENT);
    for (uint32_t i = 0U; i < n; ++i) {
        APR_BODY(apr_view_below, APR_BY_ARGUMENT);
        if (apr_element(view, index, i) >= limit) {
            return 0;
        }
    }
    return 1;
}

static int is_folding(const apr_view *view, const apr_native_step *step, uint32_t slot)
{
    int sound = 1;
    APR_LOOP(apr_view_folding, 2U);
    for (uint32_t k = slot; k < (slot + 2U); ++k) {
        APR_BODY(apr_view_folding, 2U);
        const uint32_t index = step->table[k];
        if (index != APR_NO_TABLE) {
            const apr_native_section *const s = apr_section_of(view, index);
            if ((s == NULL) || !apr_is_table(view, index, APR_TYPE_U32, s->rows, 2U)) {
                sound = 0;
            }
        }
    }
    return sound;
}

static int is_term_counts(const apr_view *view, const apr_native_step *step)
{
    const uint32_t low = step->parameter[1];
    const uint32_t high = step->parameter[2];
    const uint32_t count = step->parameter[3];
    const uint32_t n = (count > 0U) ? count : 1U;
    const uint32_t stop = step->table[3];
    if ((low == 0U) || (low > high) || (high > APR_MAX_TOKENS) || !are_strings(view, step, 0U, count) ||
        !are_below(view, step->table[2], APR_TYPE_U8 | APR_TYPE_U16, n, 65536U)) {
        return 0;
    }
    return is_folding(view, step, 4U) && is_folding(view, step, 6U) &&
           ((stop == APR_NO_TABLE) ||
            (apr_is_list(view, stop, APR_TYPE_U8) && (view->section[stop].count >= ((n + 7U) / 8U))));
}

/* Counts of terms, and nothing else, are weighed: they are whole numbers from 0 to 2^24. */
static int is_tfidf(const apr_view *view, const apr_native_step *step, uint32_t n)
{
    const uint32_t counts = apr_input_of(view, step, 0U);
    const uint32_t index = step->table[1];
    if ((counts == 0U) || (view->step[counts - 1U].op != APR_OP_TERM_COUNTS) ||
        !apr_is_list(view, step->table[0], APR_TYPE_F64)) {
        return 0;
    }
    const uint32_t weights = view->section[step->table[0]].count;
    return (index == APR_NO_TABLE) ? (weights >= n) : are_below(view, index, APR_TYPE_U8 | APR_TYPE_U16, n, weights);
}

static int is_suggest(const apr_view *view, const apr_native_step *step)
{
    const uint32_t n_commands = step->parameter[1];
    const uint32_t n_words = step->parameter[2];
    const uint32_t n_contexts = step->parameter[3];
    const uint32_t context_words = step->parameter[4];
    const uint32_t rows = (n_contexts > 0U) ? n_contexts : 1U;
    const uint32_t first = step->table[APR_NEXT_FIRST];
    uint32_t before = 0U;
    if ((context_words == 0U) || (context_words > APR_MAX_CONTEXT_WORDS) || (step->parameter[5] > (context_words + 1U)) ||
        (n_contexts > 0x00FFFFFFU) || !are_strings(view, step, APR_COMMANDS, n_commands) ||
        !are_strings(view, step, APR_WORDS, n_words) ||
        !apr_is_table(view, step->table[APR_CONTEXT], APR_TYPE_U16, rows, context_words) ||
        !apr_is_table(view, first, APR_TYPE_U8 | APR_TYPE_U16 | APR_TYPE_U32, n_contexts + 1U, 1U) ||
        !apr_is_list(view, step->table[APR_SCORE], APR_TYPE_F32)) {
        return 0;
    }
    APR_LOOP(apr_view_next_first, APR_BY_ARGUMENT);
    for (uint32_t i = 0U; i <= n_contexts; ++i) {
        APR_BODY(apr_view_next_first, APR_BY_ARGUMENT);
        const uint32_t at = apr_element(view, first, i);
        if ((at < before) || (at > APR_MAX_STRINGS)) {
            return 0;
        }
        before = at;
    }
    const uint32_t levels = view->section[step->table[APR_SCORE]].count;
    return are_below(view, step->table[APR_COMMAND_LEVEL], APR_TYPE_U8 | APR_TYPE_U16, n_commands, levels) &&
           are_below(view, step->table[APR_NEXT_WORD], APR_TYPE_U16, before, n_words) &&
           are_below(view, step->table[APR_NEXT_LEVEL], APR_TYPE_U8 | APR_TYPE_U16, before, levels);
}

apr_view_status apr_view_check_text(const apr_view *view, const apr_native_step *step)
{
    const uint32_t n = apr_result_of(view, step)->size;
    apr_view_status status = APR_VIEW_OK;
    if (!apr_makes(view, step, APR_VALUE_F32, n)) {
        status = APR_VIEW_E_STEP;
    } else if (step->op == APR_OP_TERM_COUNTS) {
        if (!apr_takes(view, step, 0U, APR_VALUE_TEXT, 0U) || (step->parameter[0] != n)) {
            status = APR_VIEW_E_STEP;
        } else if (is_term_counts(view, step) == 0) {
            status = APR_VIEW_E_TABLE;
        } else {
            /* sound */
        }
    } else if (step->op == APR_OP_TFIDF) {
        if (!apr_takes(view, step, 0U, APR_VALUE_F32, n) || (step->parameter[1] > 1U)) {
            status = APR_VIEW_E_STEP;
        } else if (is_tfidf(view, step, n) == 0) {
            status = APR_VIEW_E_TABLE;
        } else {
            /* sound */
        }
    } else if (!apr_takes(view, step, 0U, APR_VALUE_PREFIX, 0U)) {
        status = APR_VIEW_E_STEP;
    } else if (is_suggest(view, step) == 0) {
        status = APR_VIEW_E_TABLE;
    } else {
        /* sound */
    }
    return status;
}

/* ---- Vectorizers ----------------------------------------------------------------------------------------------- */

static apr_strings strings_of(const apr_view *view, const apr_native_step *step, uint32_t slot, uint32_t count)
{
    const uint32_t offset = step->table[slot + 1U];
    const int is_narrow = (view->section[offset].element == 2U) ? (int)1 : (int)0;
    apr_strings strings;
    strings.text = (const uint8_t *)apr_elements(view, step->table[slot]);
    strings.offset16 = (is_narrow != 0) ? (const uint16_t *)apr_elements(view, offset) : NULL;
    strings.offset32 = (is_narrow != 0) ? NULL : (const uint32_t *)apr_elements(view, offset);
    strings.count = count;
    return strings;
}

static apr_folding folding_of(const apr_view *view, const apr_native_step *step, uint32_t slot, uint32_t flags)
{
    const uint32_t ranges = step->table[slot];
    const uint32_t kinds = step->table[slot + 1U];
    apr_folding folding;
    folding.ranges = (ranges == APR_NO_TABLE) ? NULL : (const uint32_t *)apr_elements(view, ranges);
    folding.n_ranges = (ranges == APR_NO_TABLE) ? 0U : view->section[ranges].rows;
    folding.kinds = (kinds == APR_NO_TABLE) ? NULL : (const uint32_t *)apr_elements(view, kinds);
    folding.n_kinds = (kinds == APR_NO_TABLE) ? 0U : view->section[kinds].rows;
    folding.dotted_i = flags & 1U;
    return folding;
}

/* What is known while a text is read. gram[k] holds the strings that begin with the last k tokens and with what was read
 * of this one; `before` is gram when the token began, as a stop word leaves no trace. */
typedef struct {
    apr_strings strings;
    apr_folding folding;
    apr_folding stop_folding;
    uint32_t folds_stops; /* stop words are compared in a folding of their own */
    const uint8_t *stop;  /* bit i % 8 of byte i / 8; NULL: there are no stop words */
    uint32_t column;      /* section */
    uint32_t size;
    uint32_t low;
    uint32_t high;
    apr_span gram[APR_MAX_TOKENS];
    apr_span before[APR_MAX_TOKENS];
    apr_span word;
} apr_counter;

static void copy_spans(apr_span *to, const apr_span *from, uint32_t n)
{
    APR_LOOP(apr_view_spans, 16U);
    for (uint32_t k = 0U; k < n; ++k) {
        APR_BODY(apr_view_spans, 16U);
        to[k] = from[k];
    }
}

static void end_token(const apr_view *view, apr_counter *c, float *y)
{
    if (c->stop != NULL) {
        const uint32_t word = apr_complete(&c->strings, (c->folds_stops != 0U) ? c->word : c->gram[0]);
        if ((word != APR_NO_STRING) && ((((uint32_t)c->stop[word / 8U] >> (word % 8U)) & 1U) != 0U)) {
            copy_spans(c->gram, c->before, c->high);
            return;
        }
    }
    APR_LOOP(apr_view_count, 16U);
    for (uint32_t k = c->low; k <= c->high; ++k) {
        APR_BODY(apr_view_count, 16U);
        const uint32_t term = apr_complete(&c->strings, c->gram[k - 1U]);
        if (term != APR_NO_STRING) {
            const uint32_t column = apr_element(view, c->column, term);
            if (column < c->size) {
                y[column] = apr_count_up(y[column]);
            }
        }
    }
    APR_LOOP(apr_view_join, 15U);
    for (uint32_t k = c->high - 1U; k > 0U; --k) {
        APR_BODY(apr_view_join, 15U);
        c->gram[k] = apr_narrow(&c->strings, c->gram[k - 1U], 0x5FU);
    }
    c->gram[0] = apr_every_string(&c->strings);
}

void apr_view_run_term_counts(const apr_run *run, const apr_native_step *step, float *y)
{
    const apr_view *const view = run->view;
    apr_counter c;
    uint32_t in_token = 0U;
    uint32_t cased = 0U;
    size_t at = 0U;
    c.strings = strings_of(view, step, 0U, step->parameter[3]);
    c.folding = folding_of(view, step, 4U, step->parameter[4]);
    c.stop_folding = folding_of(view, step, 6U, step->parameter[5]);
    c.folds_stops = step->parameter[5] >> 1;
    c.stop = (step->table[3] == APR_NO_TABLE) ? NULL : (const uint8_t *)apr_elements(view, step->table[3]);
    c.column = step->table[2];
    c.size = step->parameter[0];
    c.low = step->parameter[1];
    c.high = step->parameter[2];
    c.word = apr_every_string(&c.strings);
    APR_LOOP(apr_view_no_counts, APR_BY_ARGUMENT);
    for (uint32_t i = 0U; i < c.size; ++i) {
        APR_BODY(apr_view_no_counts, APR_BY_ARGUMENT);
        y[i] = 0.0F;
    }
    APR_LOOP(apr_view_grams, 16U);
    for (uint32_t k = 0U; k < c.high; ++k) {
        APR_BODY(apr_view_grams, 16U);
        c.gram[k] = apr_no_strings();
    }
    c.gram[0] = apr_every_string(&c.strings);
    copy_spans(c.before, c.gram, c.high);
    APR_LOOP(apr_view_text, APR_BY_ARGUMENT);
    while ((at < run->n_text) || (in_token != 0U)) {
        APR_BODY(apr_view_text, APR_BY_ARGUMENT);
        const uint32_t cp = (at < run->n_text) ? apr_utf8_next(run->text, run->n_text, &at) : 0x20U;
        if (!apr_is_space(cp)) {
            uint8_t unit[4];
            if (in_token == 0U) {
                in_token = 1U;
                cased = 0U;
                copy_spans(c.before, c.gram, c.high);
                c.word = apr_every_string(&c.strings);
            }
            const uint32_t units = apr_fold_in_word(&c.folding, cp, cased, run->text, run->n_text, at, unit);
            APR_LOOP(apr_view_narrow, 16U);
            for (uint32_t k = 0U; k < c.high; ++k) {
                APR_BODY(apr_view_narrow, 16U);
                c.gram[k] = apr_narrow_bytes(&c.strings, c.gram[k], unit, units);
            }
            if (c.folds_stops != 0U) {
                const uint32_t more = apr_fold_in_word(&c.stop_folding, cp, cased, run->text, run->n_text, at, unit);
                c.word = apr_narrow_bytes(&c.strings, c.word, unit, more);
                cased = apr_cased_after(&c.stop_folding, cp, cased);
            } else {
                cased = apr_cased_after(&c.folding, cp, cased);
            }
        } else if (in_token != 0U) {
            in_token = 0U;
            end_token(view, &c, y);
        } else {
            /* white space after white space */
        }
    }
}

void apr_view_run_tfidf(const apr_run *run, const apr_native_step *step, const float *x, float *y)
{
    const apr_view *const view = run->view;
    const double *const idf = (const double *)apr_elements(view, step->table[0]);
    const uint32_t n = apr_result_of(view, step)->size;
    APR_LOOP(apr_view_tfidf, APR_BY_ARGUMENT);
    for (uint32_t i = 0U; i < n; ++i) {
        APR_BODY(apr_view_tfidf, APR_BY_ARGUMENT);
        float weight = 0.0F;
        if (apr_bits(x[i]) != 0U) {
            const uint32_t place = (step->table[1] == APR_NO_TABLE) ? i : apr_element(view, step->table[1], i);
            weight = apr_weigh((step->parameter[1] != 0U) ? apr_tf_sublinear(x[i]) : apr_tf(x[i]), idf[place]);
        }
        y[i] = weight;
    }
}

void apr_view_scores_text(const apr_view *view, const char *utf8, size_t n, float *out, float *workspace)
{
    const apr_run run = {view, NULL, (const uint8_t *)utf8, n, workspace};
    apr_view_run_scores(&run, out);
}

apr_status apr_view_predict_text(const apr_view *view, const char *utf8, size_t n, float *out, size_t n_out,
                                 float *workspace, size_t n_workspace)
{
    apr_status status = APR_OK;
    if ((utf8 == NULL) || (view->head->source != 2U)) {
        status = APR_E_DIMENSION;
    } else if ((out == NULL) || (n_out < view->head->n_outputs) || (workspace == NULL) ||
               (n_workspace < apr_view_workspace(view))) {
        status = APR_E_BUFFER;
    } else if (apr_utf8_valid(utf8, n) == 0) {
        status = APR_E_ENCODING;
    } else {
        apr_view_scores_text(view, utf8, n, out, workspace);
        if (apr_all_finite(out, view->head->n_outputs) == 0) {
            status = APR_E_NOT_FINITE;
        }
    }
    return status;
}

/* ---- Completions ----------------------------------------------------------------------------------------------- */

/* A prefix, read: what both kinds of candidates start with. */
typedef struct {
    const apr_view *view;
    const apr_native_step *step;
    apr_strings command_strings;
    apr_strings word_strings;
    const uint8_t *text; /* the prefix without the white space around it */
    size_t n;
    size_t word_at;          /* where its last word begins */
    size_t head;             /* bytes of the words before, each with one space after it */
    uint32_t tidy;           /* 1 when single spaces stand between words */
    uint32_t commands_first; /* when not tidy: whether commands come before completions in byte order */
    apr_span commands;       /* the commands that start with the prefix */
    apr_span words;          /* the words that start with its last word */
    uint32_t next_first;     /* the entries of its context, next_first to next_last - 1 */
    uint32_t next_last;
} apr_prefix;

static uint32_t element_of(const apr_prefix *p, uint32_t slot, uint32_t i)
{
    return apr_element(p->view, p->step->table[slot], i);
}

/* The entries of the row of contexts that is `recent`; none when there is no such row. */
static void find_row(apr_prefix *p, const uint16_t *recent)
{
    const uint16_t *const context = (const uint16_t *)apr_elements(p->view, p->step->table[APR_CONTEXT]);
    const uint32_t n = p->step->parameter[4];
    uint32_t first = 0U;
    uint32_t last = p->step->parameter[3];
    APR_LOOP(apr_view_contexts, 32U);
    while (first < last) {
        APR_BODY(apr_view_contexts, 32U);
        const uint32_t middle = first + ((last - first) / 2U);
        const uint16_t *const row = &context[middle * n];
        uint32_t i = 0U;
        APR_LOOP(apr_view_same, 16U);
        while ((i < n) && (row[i] == recent[i])) {
            APR_BODY(apr_view_same, 16U);
            ++i;
        }
        if (i == n) {
            p->next_first = element_of(p, APR_NEXT_FIRST, middle);
            p->next_last = element_of(p, APR_NEXT_FIRST, middle + 1U);
            return;
        }
        if (row[i] < recent[i]) {
            first = middle + 1U;
        } else {
            last = middle;
        }
    }
}

/* The entries of the words before the last one; none when the tables do not know them. */
static void find_context(apr_prefix *p)
{
    uint16_t recent[APR_MAX_CONTEXT_WORDS]; /* the latest word first */
    size_t at = p->word_at;
    APR_LOOP(apr_view_recent, 16U);
    for (uint32_t i = 0U; i < APR_MAX_CONTEXT_WORDS; ++i) {
        APR_BODY(apr_view_recent, 16U);
        recent[i] = 0xFFFFU;
    }
    APR_LOOP(apr_view_reach, 17U);
    for (uint32_t count = 0U; (count < p->step->parameter[5]) && (at > 0U); ++count) {
        APR_BODY(apr_view_reach, 17U);
        size_t space = apr_space_before(p->text, at);
        APR_LOOP(apr_view_space_back, APR_BY_ARGUMENT);
        while (space > 0U) {
            APR_BODY(apr_view_space_back, APR_BY_ARGUMENT);
            at -= space;
            space = apr_space_before(p->text, at);
        }
        const size_t end = at;
        APR_LOOP(apr_view_word_back, APR_BY_ARGUMENT);
        while ((at > 0U) && (apr_space_before(p->text, at) == 0U)) {
            APR_BODY(apr_view_word_back, APR_BY_ARGUMENT);
            at -= 1U;
        }
        const apr_span span =
            apr_narrow_bytes(&p->word_strings, apr_every_string(&p->word_strings), &p->text[at], end - at);
        const uint32_t word = apr_complete(&p->word_strings, span);
        if ((word == APR_NO_STRING) || (count >= p->step->parameter[4])) {
            return;
        }
        recent[count] = (uint16_t)word;
    }
    find_row(p, recent);
}

/* The prefix has other white space, from `begin` to `after`, where a completion has one space and then the next word. */
static void note_untidy(apr_prefix *p, size_t begin, size_t after)
{
    const size_t skip = (p->text[begin] == 0x20U) ? (size_t)1U : (size_t)0U;
    size_t i = 0U;
    p->tidy = 0U;
    APR_LOOP(apr_view_untidy, 2U);
    while ((skip == 1U) && (i < 2U) && ((after + i + 1U) < p->n) && (p->text[begin + 1U + i] == p->text[after + i])) {
        APR_BODY(apr_view_untidy, 2U);
        ++i;
    }
    p->commands_first = (uint32_t)(p->text[begin + skip + i] < ((skip == 1U) ? p->text[after + i] : 0x20U));
}

/* Takes the white space at both ends away. */
static void trim(apr_prefix *p)
{
    size_t at = 0U;
    size_t space;
    APR_LOOP(apr_view_trim, APR_BY_ARGUMENT);
    for (space = apr_space_at(p->text, p->n, 0U); space > 0U; space = apr_space_at(p->text, p->n, at)) {
        APR_BODY(apr_view_trim, APR_BY_ARGUMENT);
        at += space;
    }
    if (at > 0U) {
        p->text = &p->text[at];
        p->n -= at;
    }
    APR_LOOP(apr_view_trim_end, APR_BY_ARGUMENT);
    for (space = apr_space_before(p->text, p->n); space > 0U; space = apr_space_before(p->text, p->n)) {
        APR_BODY(apr_view_trim_end, APR_BY_ARGUMENT);
        p->n -= space;
    }
}

/* Finds the words of the prefix, and the candidates that start like it. */
static void read_prefix(apr_prefix *p)
{
    size_t at = 0U;
    trim(p);
    APR_LOOP(apr_view_prefix, APR_BY_ARGUMENT);
    while (at < p->n) {
        APR_BODY(apr_view_prefix, APR_BY_ARGUMENT);
        const size_t begin = at;
        size_t space;
        APR_LOOP(apr_view_space, APR_BY_ARGUMENT);
        for (space = apr_space_at(p->text, p->n, at); space > 0U; space = apr_space_at(p->text, p->n, at)) {
            APR_BODY(apr_view_space, APR_BY_ARGUMENT);
            at += space;
        }
        if (at == begin) {
            at += 1U;
        } else {
            p->head += (begin - p->word_at) + 1U;
            p->word_at = at;
            if ((p->tidy != 0U) && ((p->text[begin] != 0x20U) || (at != (begin + 1U)))) {
                note_untidy(p, begin, at);
            }
        }
    }
    p->commands =
        apr_narrow_bytes(&p->command_strings, apr_every_string(&p->command_strings), p->text, p->n);
    if (p->word_at > 0U) {
        p->words = apr_narrow_bytes(&p->word_strings, apr_every_string(&p->word_strings), &p->text[p->word_at],
                                    p->n - p->word_at);
        find_context(p);
    }
}

/* The smallest key of a command that is at least `least`; a key is level * 65,536 + place. */
static uint32_t best_command(const apr_prefix *p, uint32_t least)
{
    uint32_t best = APR_NO_KEY;
    APR_LOOP(apr_view_commands, APR_BY_ARGUMENT);
    for (uint32_t i = p->commands.first; i < p->commands.last; ++i) {
        APR_BODY(apr_view_commands, APR_BY_ARGUMENT);
        const uint32_t key = (element_of(p, APR_COMMAND_LEVEL, i) << 16) | (i - p->commands.first);
        if ((key >= least) && (key < best)) {
            best = key;
        }
    }
    return best;
}

/* 1 when a next word makes a command that is a candidate already. */
static int is_command(const apr_prefix *p, uint32_t word)
{
    uint32_t command = APR_NO_STRING;
    if (p->tidy != 0U) {
        const uint32_t rest = apr_string_begin(&p->word_strings, word) + p->words.depth;
        const uint32_t end = apr_string_begin(&p->word_strings, word + 1U);
        /* a word of the span has at least `depth` bytes, unless the strings are not in order */
        if (rest <= end) {
            const apr_span span =
                apr_narrow_bytes(&p->command_strings, p->commands, &p->word_strings.text[rest], (size_t)end - rest);
            command = apr_complete(&p->command_strings, span);
        }
    }
    return (command != APR_NO_STRING) ? 1 : 0;
}

/* The same for next words, without completions that are commands. */
static uint32_t best_next(const apr_prefix *p, uint32_t least)
{
    uint32_t best = APR_NO_KEY;
    APR_LOOP(apr_view_next, APR_BY_ARGUMENT);
    for (uint32_t i = p->next_first; i < p->next_last; ++i) {
        APR_BODY(apr_view_next, APR_BY_ARGUMENT);
        const uint32_t key = (element_of(p, APR_NEXT_LEVEL, i) << 16) | (i - p->next_first);
        const uint32_t word = element_of(p, APR_NEXT_WORD, i);
        if ((key >= least) && (key < best) && (word >= p->words.first) && (word < p->words.last)) {
            if (is_command(p, word) == 0) {
                best = key;
            }
        }
    }
    return best;
}

/* Whether a command comes before a next word: by level, then by text. */
static int command_wins(const apr_prefix *p, uint32_t command, uint32_t next)
{
    if ((command >> 16) != (next >> 16)) {
        return ((command >> 16) < (next >> 16)) ? 1 : 0;
    }
    if (p->tidy == 0U) {
        return (p->commands_first != 0U) ? 1 : 0;
    }
    const uint32_t i = p->commands.first + (command & 0xFFFFU);
    const uint32_t word = element_of(p, APR_NEXT_WORD, p->next_first + (next & 0xFFFFU));
    const uint8_t *const a_text = p->command_strings.text;
    const uint8_t *const b_text = p->word_strings.text;
    uint32_t a = apr_string_begin(&p->command_strings, i) + p->commands.depth;
    uint32_t b = apr_string_begin(&p->word_strings, word) + p->words.depth;
    const uint32_t a_end = apr_string_begin(&p->command_strings, i + 1U);
    const uint32_t b_end = apr_string_begin(&p->word_strings, word + 1U);
    APR_LOOP(apr_view_order, APR_BY_ARGUMENT);
    while ((a < a_end) && (b < b_end) && (a_text[a] == b_text[b])) {
        APR_BODY(apr_view_order, APR_BY_ARGUMENT);
        ++a;
        ++b;
    }
    return ((a >= a_end) || ((b < b_end) && (a_text[a] < b_text[b]))) ? 1 : 0;
}

/* Appends bytes to a text that is known to have room. */
static size_t put(char *text, size_t used, const uint8_t *bytes, size_t n)
{
    APR_LOOP(apr_view_put, APR_BY_ARGUMENT);
    for (size_t i = 0U; i < n; ++i) {
        APR_BODY(apr_view_put, APR_BY_ARGUMENT);
        text[used + i] = (char)bytes[i];
    }
    return used + n;
}

/* Appends the words before the last one, each with one space after it. */
static size_t put_head(char *text, size_t used, const apr_prefix *p)
{
    static const uint8_t blank[1] = {0x20U};
    size_t end = used;
    size_t at = 0U;
    APR_LOOP(apr_view_head, APR_BY_ARGUMENT);
    while (at < p->word_at) {
        APR_BODY(apr_view_head, APR_BY_ARGUMENT);
        size_t space = apr_space_at(p->text, p->n, at);
        if (space == 0U) {
            end = put(text, end, &p->text[at], 1U);
            at += 1U;
        } else {
            end = put(text, end, blank, 1U);
        }
        APR_LOOP(apr_view_blank, APR_BY_ARGUMENT);
        for (; space > 0U; space = apr_space_at(p->text, p->n, at)) {
            APR_BODY(apr_view_blank, APR_BY_ARGUMENT);
            at += space;
        }
    }
    return end;
}

/* Candidates one after the other, the better of the best command and the best next word first. */
static uint32_t write_best(const apr_prefix *p, uint32_t k, char *text, size_t text_size, uint32_t *lengths, float *scores)
{
    const float *const score = apr_floats(p->view, p->step->table[APR_SCORE]);
    uint32_t command_least = 0U;
    uint32_t next_least = 0U;
    size_t used = 0U;
    APR_LOOP(apr_view_rank, APR_BY_ARGUMENT);
    for (uint32_t rank = 0U; rank < k; ++rank) {
        APR_BODY(apr_view_rank, APR_BY_ARGUMENT);
        const uint32_t command = best_command(p, command_least);
        const uint32_t next = best_next(p, next_least);
        if ((command == APR_NO_KEY) && (next == APR_NO_KEY)) {
            return rank;
        }
        int by_command = (next == APR_NO_KEY) ? (int)1 : (int)0;
        if ((next != APR_NO_KEY) && (command != APR_NO_KEY)) {
            by_command = command_wins(p, command, next);
        }
        const apr_strings *const strings = (by_command != 0) ? &p->command_strings : &p->word_strings;
        const uint32_t key = (by_command != 0) ? command : next;
        const uint32_t i = (by_command != 0) ? (p->commands.first + (key & 0xFFFFU))
                                             : element_of(p, APR_NEXT_WORD, p->next_first + (key & 0xFFFFU));
        const uint32_t begin = apr_string_begin(strings, i);
        const uint32_t size = apr_string_begin(strings, i + 1U) - begin;
        const size_t before = (by_command != 0) ? (size_t)0U : p->head;
        if (((text_size - used) < before) || (((text_size - used) - before) < size)) {
            return rank;
        }
        if (by_command != 0) {
            command_least = command + 1U;
        } else {
            used = put_head(text, used, p);
            next_least = next + 1U;
        }
        used = put(text, used, &strings->text[begin], size);
        lengths[rank] = (uint32_t)before + size;
        scores[rank] = score[key >> 16];
    }
    return k;
}

uint32_t apr_view_suggest(const apr_view *view, const char *utf8, size_t n, uint32_t k, char *text, size_t text_size,
                          uint32_t *lengths, float *scores)
{
    const apr_native_step *const step = &view->step[view->head->scores - 1U];
    apr_prefix p;
    if ((step->op != APR_OP_SUGGEST) || (utf8 == NULL)) {
        return 0U;
    }
    p.view = view;
    p.step = step;
    p.command_strings = strings_of(view, step, APR_COMMANDS, step->parameter[1]);
    p.word_strings = strings_of(view, step, APR_WORDS, step->parameter[2]);
    p.text = (const uint8_t *)utf8;
    p.n = n;
    p.word_at = 0U;
    p.head = 0U;
    p.tidy = 1U;
    p.commands_first = 0U;
    p.words = apr_no_strings();
    p.next_first = 0U;
    p.next_last = 0U;
    read_prefix(&p);
    return write_best(&p, k, text, text_size, lengths, scores);
}

#else

/* A file must declare something. */
typedef int apr_view_text_is_left_out;

#endif
