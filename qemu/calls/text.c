/* A record is the number of bytes of a text, then the text, filled up to whole words.
 * Included by the generated harness_model.c. */
uint32_t apr_record_words(const uint32_t *record)
{
    return 1U + ((record[0] + 3U) / 4U);
}
