/* Label of a row. Included by the generated harness_model.c. */
void apr_call_classify(const uint32_t *record, uint32_t *out);
void apr_skip_classify(const uint32_t *record, uint32_t *out);

APR_NOINLINE void apr_call_classify(const uint32_t *record, uint32_t *out)
{
    out[0] = (uint32_t)APR_MODEL(classify)((const float *)(const void *)record);
    APR_COME_BACK();
}

APR_NOINLINE void apr_skip_classify(const uint32_t *record, uint32_t *out)
{
    out[0] = (uint32_t)apr_nothing_label((const void *)record);
    APR_COME_BACK();
}
