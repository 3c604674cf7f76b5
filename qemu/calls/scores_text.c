/* Scores of a text. Included by the generated harness_model.c. */
void apr_call_scores_text(const uint32_t *record, uint32_t *out);
void apr_skip_scores_text(const uint32_t *record, uint32_t *out);

APR_NOINLINE void apr_call_scores_text(const uint32_t *record, uint32_t *out)
{
    APR_MODEL(scores_text)((const char *)(record + 1), record[0], (float *)(void *)out);
    APR_COME_BACK();
}

APR_NOINLINE void apr_skip_scores_text(const uint32_t *record, uint32_t *out)
{
    apr_nothing((const void *)(record + 1), (void *)out);
    APR_COME_BACK();
}
