/* A valve that tells whether it leaks, by a model that can be replaced in the field.
 *
 * Every file that build/updates.txt names is received into the slot that the running model does not use, and runs only
 * when all of this holds: it is whole, the maker signed it, its version is higher than every one before, it fits the
 * valve, and it is right about situations that are beyond doubt. Otherwise the old model goes on. */
#include "apr_load.h"
#include "apr_meta.h"
#include "apr_parts.h"
#include "apr_zstd.h"
#include "board.h"
#include "factory.h"
#include "trusted.h"

#define N_FEATURES 4U
#define MOST_OUTPUTS 2U
#define WORKSPACE_WORDS 64U
#define SLOT_BYTES 4096U     /* of a file, and of what it unpacks to */
#define MOST_NAMES 1024U     /* bytes of updates.txt */
#define N_SITUATIONS 6U

typedef struct {
    apr_view view;
    apr_file file;
    uint32_t version;
} model;

/* Where a file lies, with one byte more, which shows that it is longer than its header says, and what it unpacks to. */
static struct {
    uint8_t file[SLOT_BYTES + 64U] __attribute__((aligned(64)));
    uint8_t unpacked[SLOT_BYTES] __attribute__((aligned(64)));
    model model;
} slots[2];
static model first;
static const model *running = &first;
static const model *before = NULL; /* the one that ran before, still there */
static uint32_t highest;           /* of all versions that ran; a product keeps it where no reset can reach it */
static uint64_t zstd_memory[APR_ZSTD_CONTEXT_BYTES / 8U];
static apr_parts parts = {trusted, 1U, zstd_memory, sizeof zstd_memory};
static float workspace[WORKSPACE_WORDS];
static char names[MOST_NAMES + 1U];

/* Flow, pressure, vibration and temperature that leave no doubt. */
static const float situations[N_SITUATIONS][N_FEATURES] = {
    {2.0F, 6.0F, 0.2F, 20.0F}, {1.6F, 6.3F, 0.15F, 12.0F}, {2.1F, 5.9F, 0.2F, 30.0F},
    {3.6F, 4.7F, 0.5F, 20.0F}, {4.0F, 4.5F, 0.6F, 12.0F},  {3.4F, 4.8F, 0.5F, 30.0F},
};
static const int32_t leaking[N_SITUATIONS] = {0, 0, 0, 1, 1, 1};

static void print_word(uint32_t word, uint32_t base, uint32_t n_digits)
{
    char text[12];
    uint32_t place = 11U;

    text[place] = '\0';
    do {
        --place;
        text[place] = "0123456789abcdef"[word % base];
        word /= base;
    } while ((word != 0U) || ((11U - place) < n_digits));
    board_print(&text[place]);
}

static const char *reason(apr_load_status status)
{
    static const char *const words[] = {
        "ok",          "cut short", "no .apr file", "version of the format", "sizes",     "checksum",   "bytes too many",
        "compression", "encrypted", "cipher suite", "signature",             "too large", "not native", "payload",
    };
    return words[status];
}

/* Whether the model is one for this valve. */
static int fits(const apr_view *view)
{
    return ((view->head->source == 1U) && (view->head->n_features == N_FEATURES) && (view->head->n_classes == 2U) &&
            (view->head->n_outputs <= MOST_OUTPUTS) && (apr_view_workspace(view) <= WORKSPACE_WORDS))
               ? 1
               : 0;
}

/* In how many situations the model is wrong. */
static uint32_t self_test(const apr_view *view)
{
    uint32_t wrong = 0U;

    for (uint32_t i = 0U; i < N_SITUATIONS; ++i) {
        float out[MOST_OUTPUTS];
        if ((apr_view_predict(view, situations[i], N_FEATURES, out, view->head->n_outputs, workspace,
                              WORKSPACE_WORDS) != APR_OK) ||
            (apr_view_classify(view, situations[i], workspace) != leaking[i])) {
            ++wrong;
        }
    }
    return wrong;
}

/* Opens a file and looks at all of it; NULL when the model may run, or what speaks against it. */
static const char *examine(model *candidate, const uint8_t *bytes, size_t n, uint8_t *buffer, size_t n_buffer)
{
    const apr_services services = apr_parts_services(&parts, 1U);
    const apr_load_status status =
        apr_load(&candidate->view, &candidate->file, bytes, n, buffer, n_buffer, &services);

    if (status != APR_LOAD_OK) {
        return reason(status);
    }
    if (apr_meta_number(candidate->file.metadata, candidate->file.header.metadata_bytes, "custom", "version",
                        &candidate->version) == 0) {
        return "no version";
    }
    if (candidate->version <= highest) {
        return "rolled back";
    }
    if (fits(&candidate->view) == 0) {
        return "not for this valve";
    }
    return (self_test(&candidate->view) == 0U) ? NULL : "self-test";
}

static void print_scores(const model *one)
{
    board_print("  version ");
    print_word(one->version, 10U, 1U);
    board_print(" says");
    for (uint32_t i = 0U; i < N_SITUATIONS; ++i) {
        float out[MOST_OUTPUTS];
        apr_view_scores(&one->view, situations[i], out, workspace);
        board_print(" ");
        print_word(apr_bits(out[0]), 16U, 8U);
    }
    board_print("\n");
}

/* Receives one file. Its size is known from the first 32 bytes, before the rest is asked for. */
static const char *receive(const char *name, size_t name_length, uint32_t slot)
{
    uint8_t *const bytes = slots[slot].file;
    apr_header header;
    const apr_load_status status =
        apr_header_read(&header, bytes, board_read_file(name, name_length, bytes, APR_HEADER_BYTES));

    if (status != APR_LOAD_OK) {
        return reason(status);
    }
    if ((apr_header_file_bytes(&header) > SLOT_BYTES) || (apr_header_buffer_bytes(&header) > SLOT_BYTES)) {
        return "too large";
    }
    const size_t n = board_read_file(name, name_length, bytes, (size_t)apr_header_file_bytes(&header) + 1U);
    return examine(&slots[slot].model, bytes, n, slots[slot].unpacked, SLOT_BYTES);
}

static void update(const char *name, size_t name_length)
{
    const uint32_t slot = (running == &slots[0].model) ? 1U : 0U;
    const char *const against = receive(name, name_length, slot);

    if (against != NULL) {
        if (before == &slots[slot].model) {
            before = NULL; /* its slot was written over */
        }
        board_print(": refused, ");
        board_print(against);
    } else {
        before = running;
        running = &slots[slot].model;
        highest = running->version;
        board_print(": accepted");
    }
    board_print("; version ");
    print_word(running->version, 10U, 1U);
    board_print(" runs\n");
    if (against == NULL) {
        print_scores(before);
        print_scores(running);
    }
}

int main(void)
{
    const char *const against = examine(&first, factory, factory_size, NULL, 0U);
    char *at = names;

    if (against != NULL) {
        board_print("the first model: ");
        board_print(against);
        board_print("\n");
        return 1;
    }
    highest = first.version;
    names[board_read_file("build/updates.txt", 17U, names, MOST_NAMES)] = '\0';
    while (*at != '\0') {
        char *const name = at;
        while ((*at != '\0') && (*at != '\n')) {
            ++at;
        }
        const size_t name_length = (size_t)(at - name);
        if (*at == '\n') {
            *at = '\0';
            ++at;
        }
        board_print(name);
        update(name, name_length);
    }
    return 0;
}
