/* The brake controller: an interrupt brings a row of sensor values every millisecond, the main loop decides.
 *
 * The queue has one writer, the interrupt, and one reader, the main loop: each changes only its own index. */
#include "board.h"
#include "brake.h"
#include "drive.h"

#define TICKS_PER_SECOND 1000U
#define QUEUE_ROWS 4U /* a power of two */
#define N_DECISIONS 3

static const char decision_letter[N_DECISIONS] = {'-', '=', '+'}; /* release, hold, apply */

static float queue[QUEUE_ROWS][BRAKE_N_FEATURES];
static volatile uint32_t n_written; /* by the interrupt */
static volatile uint32_t n_read;    /* by the main loop */
static volatile uint32_t n_lost;    /* rows that found the queue full */
static volatile uint32_t waiting;   /* not 0: the main loop has something to do */

static uint32_t next_row; /* of the drive; only the interrupt uses it */
static char decisions[DRIVE_ROWS + 1U];

void board_tick(void)
{
    if (next_row == DRIVE_ROWS) {
        board_stop_ticks();
        return;
    }
    if ((n_written - n_read) == QUEUE_ROWS) {
        n_lost = n_lost + 1U;
    } else {
        const uint32_t place = n_written % QUEUE_ROWS;
        for (uint32_t feature = 0U; feature < BRAKE_N_FEATURES; ++feature) {
            queue[place][feature] = drive_rows[next_row][feature];
        }
        n_written = n_written + 1U;
    }
    waiting = 1U;
    ++next_row;
}

/* Decide on every row in the queue; returns how many decisions were not the right ones. */
static uint32_t decide(uint32_t *n_decided)
{
    uint32_t n_wrong = 0U;

    waiting = 0U; /* before the look into the queue: a row that comes later sets it again */
    while (n_read != n_written) {
        const int32_t decision = brake_classify(queue[n_read % QUEUE_ROWS]);
        n_read = n_read + 1U;
        const int known = (decision >= 0) && (decision < N_DECISIONS);
        decisions[*n_decided] = known ? decision_letter[decision] : '?';
        if (decision != (int32_t)drive_decisions[*n_decided]) {
            ++n_wrong;
        }
        *n_decided += 1U;
    }
    return n_wrong;
}

static void print_number(uint32_t value)
{
    char text[11];
    uint32_t place = 10U;

    text[place] = '\0';
    do {
        --place;
        text[place] = (char)('0' + (char)(value % 10U));
        value /= 10U;
    } while (value != 0U);
    board_print(&text[place]);
}

int main(void)
{
    uint32_t n_decided = 0U;
    uint32_t n_wrong = 0U;

    board_start_ticks(TICKS_PER_SECOND);
    while ((n_decided + n_lost) < DRIVE_ROWS) {
        board_sleep_unless(&waiting);
        n_wrong += decide(&n_decided);
    }
    board_print("release -, hold =, apply +; one per millisecond\n");
    board_print(decisions);
    board_print("\ndecisions ");
    print_number(n_decided);
    board_print(", wrong ");
    print_number(n_wrong);
    board_print(", rows lost ");
    print_number(n_lost);
    board_print("\n");
    return ((n_wrong == 0U) && (n_lost == 0U)) ? 0 : 1;
}
