/* The harness around a generated model: what its parts know of each other.
 *
 * A record is one input row, or one text with its length in front. Records lie in apr_in, results go to apr_out,
 * and every function of the model that is measured has one entry in apr_functions. */
#ifndef APR_HARNESS_H
#define APR_HARNESS_H

#include <stddef.h>
#include <stdint.h>

#define APR_NOINLINE __attribute__((noinline))

/* Keeps a call from becoming a jump: control must come back into the caller, whose address range ends the count. */
#define APR_COME_BACK() __asm__ volatile("" ::: "memory")

/* The compiler must believe that the bytes at this address are read and written elsewhere. */
#define APR_ESCAPES(address) __asm__ volatile("" ::"r"(address) : "memory")

typedef void apr_call(const uint32_t *record, uint32_t *out);

typedef void apr_call_of_many(const uint32_t *records, uint32_t n_records, uint32_t *out);

typedef struct {
    apr_call *call;     /* calls the function of the model on one record */
    apr_call *nothing;  /* calls an empty function of the same type: the stack that the call itself takes */
    uint32_t out_words; /* of one result */
    apr_call_of_many *call_of_many; /* calls it on all records of a block instead; NULL: it takes one */
} apr_function;

/* From the generated harness_model.c. */
extern const apr_function apr_functions[];
extern const uint32_t apr_n_functions;
extern const uint32_t apr_in_words; /* capacity of apr_in */
extern uint32_t apr_in[];
extern uint32_t apr_out[];
extern uint32_t apr_stack[]; /* per function: bytes used at most, bytes that were painted */
uint32_t apr_record_words(const uint32_t *record);

/* From nothing.c, apart so that no compiler sees through it. */
void apr_nothing(const void *in, void *out);
int32_t apr_nothing_label(const void *in);
uint32_t apr_nothing_suggest(const char *utf8, size_t n, uint32_t k, char *text, size_t text_size, uint32_t *lengths,
                             float *scores);

/* From block.c: run all functions on the first n_records of apr_in; the words of apr_out that were written. */
uint32_t apr_block(uint32_t n_records);

/* From the platform. */
uintptr_t apr_stack_low(void); /* the lowest address that the stack may reach */
uint32_t apr_read(void *data, uint32_t n_bytes); /* bytes read; fewer at the end of the input */
void apr_write(const void *data, uint32_t n_bytes);
void apr_fail(const char *text) __attribute__((noreturn));
int apr_stream(void);

#endif
