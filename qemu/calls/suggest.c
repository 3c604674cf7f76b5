/* Completions of a prefix: their number, k scores, k lengths, then the texts one after another.
 * Included by the generated harness_model.c. */
void apr_call_suggest(const uint32_t *record, uint32_t *out);
void apr_skip_suggest(const uint32_t *record, uint32_t *out);

APR_NOINLINE void apr_call_suggest(const uint32_t *record, uint32_t *out)
{
    out[0] = APR_MODEL(suggest)((const char *)(record + 1), record[0], APR_K,
                                (char *)(out + 1 + (2U * APR_K)), APR_TEXT_BYTES,
                                out + 1 + APR_K, (float *)(void *)(out + 1));
    APR_COME_BACK();
}

/* Takes as many words of stack for arguments as the call above. */
APR_NOINLINE void apr_skip_suggest(const uint32_t *record, uint32_t *out)
{
    out[0] = apr_nothing_suggest((const char *)(record + 1), record[0], APR_K,
                                 (char *)(out + 1 + (2U * APR_K)), APR_TEXT_BYTES,
                                 out + 1 + APR_K, (float *)(void *)(out + 1));
    APR_COME_BACK();
}
