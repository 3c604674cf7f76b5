/* Scores of all rows of a block. Included by the generated harness_model.c. */
void apr_call_predict_batch(const uint32_t *records, uint32_t n_records, uint32_t *out);
void apr_skip_predict_batch(const uint32_t *record, uint32_t *out);

APR_NOINLINE void apr_call_predict_batch(const uint32_t *records, uint32_t n_records, uint32_t *out)
{
    APR_MODEL(predict_batch)((const float *)(const void *)records, n_records, (float *)(void *)out);
    APR_COME_BACK();
}

APR_NOINLINE void apr_skip_predict_batch(const uint32_t *record, uint32_t *out)
{
    apr_nothing((const void *)record, (void *)out);
    APR_COME_BACK();
}
