/* What a core needs before the first instruction of compiled C: a core without extensions needs nothing. */
void apr_cpu_start(void);

void apr_cpu_start(void)
{
}
