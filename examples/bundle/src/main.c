/* The pump's controller: commands name a model and give its features, and it answers with what that model says.
 *
 * A command is one line: the model's name, then its features in thousandths. Which model runs is known only then. */
#include "board.h"
#include "pump.h"

#define MOST_COMMANDS 4096U /* bytes of all */

static char commands[MOST_COMMANDS + 1U];

static void print_bits(float value)
{
    char text[11] = "0x";
    const uint32_t bits = apr_bits(value);

    for (uint32_t i = 0U; i < 8U; ++i) {
        text[2U + i] = "0123456789abcdef"[(bits >> (28U - (4U * i))) & 15U];
    }
    text[10] = '\0';
    board_print(text);
}

static void print_number(int32_t value)
{
    char text[12];
    uint32_t place = 11U;
    uint32_t left = (value < 0) ? (0U - (uint32_t)value) : (uint32_t)value;

    text[place] = '\0';
    do {
        --place;
        text[place] = (char)('0' + (char)(left % 10U));
        left /= 10U;
    } while (left != 0U);
    if (value < 0) {
        --place;
        text[place] = '-';
    }
    board_print(&text[place]);
}

static int is_end(char c)
{
    return (c == '\0') || (c == '\n');
}

/* Reads a whole number behind spaces, and gives where it ends. */
static const char *read_number(const char *at, int32_t *value)
{
    int negative = 0;

    while (*at == ' ') {
        ++at;
    }
    if (*at == '-') {
        negative = 1;
        ++at;
    }
    *value = 0;
    while ((*at >= '0') && (*at <= '9') && (*value < 100000000)) {
        *value = (10 * *value) + (*at - '0');
        ++at;
    }
    if (negative != 0) {
        *value = -*value;
    }
    return at;
}

/* Answers one command, whose name ends with a zero; returns 0 when it makes no sense. */
static int answer(const char *name, const char *at)
{
    const pump_entry *model = pump_find(name);
    float x[PUMP_MOST_FEATURES] = {0.0F};
    float out[PUMP_MOST_OUTPUTS];
    uint32_t n = 0U;

    board_print(name);
    if (model == NULL) {
        board_print(": no such model\n");
        return 0;
    }
    while ((is_end(*at) == 0) && (n < model->n_features)) {
        int32_t thousandths;
        at = read_number(at, &thousandths);
        x[n] = (float)thousandths / 1000.0F;
        ++n;
    }
    if (pump_predict(model->id, x, n, out, PUMP_MOST_OUTPUTS) != APR_OK) {
        board_print(": not answered\n");
        return 0;
    }
    board_print(":");
    if ((model->has & PUMP_HAS_LABELS) != 0U) {
        int32_t label = 0;
        (void)pump_classify(model->id, x, &label);
        board_print(" label ");
        print_number(label);
    }
    for (uint32_t i = 0U; i < model->n_outputs; ++i) {
        board_print(" ");
        print_bits(out[i]);
    }
    board_print("\n");
    return 1;
}

int main(void)
{
    const int32_t wrong = pump_selftest();
    int32_t answered = 0;
    int32_t refused = 0;

    for (uint32_t id = 0U; id < PUMP_N_MODELS; ++id) {
        const pump_entry *model = pump_at(id);
        board_print(model->name);
        board_print(((model->has & PUMP_HAS_BYTES) != 0U) ? " (code and bytes)\n" : " (code)\n");
    }
    board_print("self-test: ");
    print_number(wrong);
    board_print(" wrong\n");
    commands[board_read_file("commands.txt", 12U, commands, MOST_COMMANDS)] = '\0';
    char *at = commands;
    while (*at != '\0') {
        const char *name = at;
        while ((is_end(*at) == 0) && (*at != ' ')) {
            ++at;
        }
        char *rest = at;
        while (is_end(*at) == 0) {
            ++at;
        }
        char *next = (*at == '\0') ? at : &at[1];
        *at = '\0';
        if (*rest == ' ') {
            *rest = '\0';
            ++rest;
        }
        if (answer(name, rest) != 0) {
            ++answered;
        } else {
            ++refused;
        }
        at = next;
    }
    board_print("answered ");
    print_number(answered);
    board_print(", refused ");
    print_number(refused);
    board_print("\n");
    return (wrong == 0) ? 0 : 1;
}
