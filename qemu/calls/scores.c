/* Scores of a row. Included by the generated harness_model.c. */
void apr_call_scores(const uint32_t *record, uint32_t *out);
void apr_skip_scores(const uint32_t *record, uint32_t *out);

APR_NOINLINE void apr_call_scores(const uint32_t *record, uint32_t *out)
{
    APR_MODEL(scores)((const float *)(const void *)record, (float *)(void *)out);
    APR_COME_BACK();
}

APR_NOINLINE void apr_skip_scores(const uint32_t *record, uint32_t *out)
{
    apr_nothing((const void *)record, (void *)out);
    APR_COME_BACK();
}
