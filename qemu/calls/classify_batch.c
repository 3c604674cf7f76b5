/* Labels of all rows of a block. Included by the generated harness_model.c. */
void apr_call_classify_batch(const uint32_t *records, uint32_t n_records, uint32_t *out);
void apr_skip_classify_batch(const uint32_t *record, uint32_t *out);

APR_NOINLINE void apr_call_classify_batch(const uint32_t *records, uint32_t n_records, uint32_t *out)
{
    APR_MODEL(classify_batch)((const float *)(const void *)records, n_records, (int32_t *)(void *)out);
    APR_COME_BACK();
}

APR_NOINLINE void apr_skip_classify_batch(const uint32_t *record, uint32_t *out)
{
    apr_nothing((const void *)record, (void *)out);
    APR_COME_BACK();
}
