/* Measures the functions of apr_math.h, apr_sqrt.h and apr_log64.h against the exact ones.
 *
 *   cc -O2 -std=gnu11 -ffp-contract=off -I.. measure.c -lm -o measure && ./measure > measure.json
 *
 * One-argument functions: all 2^32 floats. apr_powf: 2^28 pairs, see pow_x and pow_y. apr_log_f64: every n up to
 * 2^26, then every 61st. The table goes to stderr, JSON to stdout; exit status 1 if a figure exceeds the bound
 * written in the header. Options: --step 1009 takes every 1009th input,
 * --only apr_expf one function, --jobs 2 is the default.
 *
 * The reference is libm in double (long double for apr_log_f64), itself within 1 ulp of its own format, which is
 * 2^-29 (2^-11) of a unit here. Hosted: needs POSIX fork. */
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "apr_log64.h"
#include "apr_math.h"
#include "apr_sqrt.h"

typedef struct Result {
    uint64_t inputs;  /* compared with a finite exact value that is not zero */
    uint64_t nearest; /* of these, correctly rounded */
    uint64_t special; /* NaN, infinity or zero expected and found */
    uint64_t wrong;   /* NaN, infinity, zero or sign expected and not found, or the reverse */
    double worst;     /* ulp */
    uint32_t at, at2; /* worst input, as bits (a count for apr_log_f64) */
} Result;

/* Spacing of floats at r: 2^(exponent - 23), at least 2^-149. */
static double ulp(double r)
{
    const int e = ilogb(r);
    return ldexp(1.0, ((e < -126) ? -126 : e) - 23);
}

/* One comparison; `unit` is what the error is counted in. */
static void compare(Result *s, float got, double exact, double unit, uint32_t at, uint32_t at2)
{
    const float nearest = (float)exact;
    if (isnan(exact) || isinf(nearest) || isinf(got) || isnan(got) || (exact == 0.0)) {
        const bool same = isnan(exact) ? (bool)isnan(got) : ((got == nearest) && (signbit(got) == signbit(nearest)));
        s->special += same ? 1U : 0U;
        s->wrong += same ? 0U : 1U;
        return;
    }
    const double error = fabs((double)got - exact) / unit;
    s->inputs += 1U;
    s->nearest += (got == nearest) ? 1U : 0U;
    if (error > s->worst) {
        s->worst = error;
        s->at = at;
        s->at2 = at2;
    }
}

/* ---- One argument, all floats ---- */

static void one_exp(Result *s, uint32_t u)
{
    const float x = apr_from_bits(u);
    const double r = exp((double)x);
    compare(s, apr_expf(x), r, ulp(r), u, 0U);
}

static void one_exp2(Result *s, uint32_t u)
{
    const float x = apr_from_bits(u);
    const double r = exp2((double)x);
    compare(s, apr_exp2f(x), r, ulp(r), u, 0U);
}

static void one_log(Result *s, uint32_t u)
{
    const float x = apr_from_bits(u);
    const double r = log((double)x);
    compare(s, apr_logf(x), r, ulp(r), u, 0U);
}

static void one_tanh(Result *s, uint32_t u)
{
    const float x = apr_from_bits(u);
    const double r = tanh((double)x);
    compare(s, apr_tanhf(x), r, ulp(r), u, 0U);
}

static void one_sqrt(Result *s, uint32_t u)
{
    const float x = apr_from_bits(u);
    const double r = sqrt((double)x);
    compare(s, apr_sqrtf(x), r, ulp(r), u, 0U);
}

/* Where e^-x overflows the definition itself gives 0; the exact value is then below 2^-127. */
static void one_sigmoid(Result *s, uint32_t u)
{
    const float x = apr_from_bits(u);
    const double e = exp(-(double)x);
    const double r = isinf((float)e) ? 0.0 : (1.0 / (1.0 + e));
    compare(s, apr_sigmoidf(x), r, ulp(r), u, 0U);
}

/* x / 2 (1 + tanh z) = x / (1 + e^-2z), which does not cancel. At -infinity the definition gives NaN, as here. */
static void one_gelu(Result *s, uint32_t u)
{
    const float x = apr_from_bits(u);
    const double d = x;
    const double z = sqrt(2.0 / acos(-1.0)) * (d + (0.044715 * d * d * d));
    double r = d / (1.0 + exp(-2.0 * z));
    if (isinf(x) && (d < 0.0)) {
        r = NAN;
    }
    compare(s, apr_geluf(x), r, ulp(d), u, 0U);
}

/* ---- Two arguments, a grid of 2^14 by 2^14 ---- */

/* Three quarters evenly over the bits of all positive floats, one quarter 1 +- 2^-1 .. 2^-24, ever closer to 1. */
static float pow_x(uint32_t i)
{
    if (i < 12288U) {
        return apr_from_bits(1U + (i * 173933U));
    }
    const uint32_t j = i - 12288U;
    const double near = exp2(-24.0 * (double)(j >> 1) / 2048.0);
    return (float)(((j & 1U) != 0U) ? (1.0 + near) : (1.0 - (near / 2.0)));
}

/* Half such that y * log2 x is evenly in [-152, 130], so that results reach from 0 to infinity; half, whatever x, in
 * 2^-5 to 2^5 and as often negative, the exponents that distances use. */
static float pow_y(uint32_t j, double log2_x)
{
    if (j < 8192U) {
        return (float)((-152.0 + (282.0 * j / 8191.0)) / log2_x);
    }
    const double y = exp2(-5.0 + (10.0 * (double)((j - 8192U) >> 1) / 4095.0));
    return (float)(((j & 1U) != 0U) ? y : -y);
}

static void one_pow(Result *s, uint32_t u)
{
    const float x = pow_x(u >> 14);
    const float y = pow_y(u & 0x3FFFU, log2((double)x));
    const double r = pow((double)x, (double)y);
    compare(s, apr_powf(x, y), r, ulp(r), apr_bits(x), apr_bits(y));
}

/* ---- float64 ---- */

static void one_log64(Result *s, uint32_t n)
{
    const double got = apr_log_f64(n);
    if (n < 2U) {
        const bool same = (n == 1U) ? (got == 0.0) : (isinf(got) && (got < 0.0));
        s->special += same ? 1U : 0U;
        s->wrong += same ? 0U : 1U;
        return;
    }
    const long double r = logl((long double)n);
    const double error = (double)(fabsl((long double)got - r) / ldexpl(1.0L, ilogbl(r) - 52));
    s->inputs += 1U;
    s->nearest += (got == (double)r) ? 1U : 0U;
    if (error > s->worst) {
        s->worst = error;
        s->at = n;
    }
}

/* ---- Run ---- */

typedef struct Function {
    const char *name;
    void (*one)(Result *s, uint32_t input);
    uint64_t count;     /* inputs 0 .. count - 1 */
    uint32_t dense;     /* below this every input, above every `stride`-th */
    uint32_t stride;
    uint32_t milliulp;  /* bound from the header */
} Function;

static const Function functions[] = {
    {"apr_expf", one_exp, UINT64_C(1) << 32, 0U, 1U, APR_EXPF_MAX_MILLIULP},
    {"apr_exp2f", one_exp2, UINT64_C(1) << 32, 0U, 1U, APR_EXP2F_MAX_MILLIULP},
    {"apr_logf", one_log, UINT64_C(1) << 32, 0U, 1U, APR_LOGF_MAX_MILLIULP},
    {"apr_tanhf", one_tanh, UINT64_C(1) << 32, 0U, 1U, APR_TANHF_MAX_MILLIULP},
    {"apr_sigmoidf", one_sigmoid, UINT64_C(1) << 32, 0U, 1U, APR_SIGMOIDF_MAX_MILLIULP},
    {"apr_geluf", one_gelu, UINT64_C(1) << 32, 0U, 1U, APR_GELUF_MAX_MILLIULP},
    {"apr_sqrtf", one_sqrt, UINT64_C(1) << 32, 0U, 1U, 500U},
    {"apr_powf", one_pow, UINT64_C(1) << 28, 0U, 1U, APR_POWF_MAX_MILLIULP},
    {"apr_log_f64", one_log64, UINT64_C(1) << 32, UINT32_C(1) << 26, 61U, APR_LOG_F64_MAX_MILLIULP},
};

/* The share of one process: `step` thins out for a quick run, and blocks go round the processes. */
static void work(const Function *f, Result *s, uint64_t step, uint64_t job, uint64_t jobs)
{
    const uint64_t block = UINT64_C(1) << 20;
    for (uint64_t start = job * block; start < f->count; start += jobs * block) {
        const uint64_t pace = step * ((start < f->dense) ? 1U : f->stride);
        for (uint64_t i = ((start + pace - 1U) / pace) * pace; (i < start + block) && (i < f->count); i += pace) {
            f->one(s, (uint32_t)i);
        }
    }
}

static Result measure(const Function *f, uint64_t step, uint64_t jobs)
{
    Result *const part = mmap(NULL, jobs * sizeof *part, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (part == MAP_FAILED) {
        perror("mmap");
        exit(2);
    }
    for (uint64_t job = 0U; job < jobs; ++job) {
        const pid_t pid = fork();
        if (pid < 0) {
            perror("fork");
            exit(2);
        }
        if (pid == 0) {
            work(f, &part[job], step, job, jobs);
            _exit(0);
        }
    }
    for (uint64_t job = 0U; job < jobs; ++job) {
        int status = 0;
        if ((wait(&status) < 0) || (status != 0)) {
            fprintf(stderr, "%s: a process failed\n", f->name);
            exit(2);
        }
    }
    Result sum = part[0];
    for (uint64_t job = 1U; job < jobs; ++job) {
        sum.inputs += part[job].inputs;
        sum.nearest += part[job].nearest;
        sum.special += part[job].special;
        sum.wrong += part[job].wrong;
        if (part[job].worst > sum.worst) {
            sum.worst = part[job].worst;
            sum.at = part[job].at;
            sum.at2 = part[job].at2;
        }
    }
    munmap(part, jobs * sizeof *part);
    return sum;
}

static uint64_t positive(const char *text)
{
    char *end = NULL;
    const unsigned long long v = strtoull(text, &end, 10);
    if ((v == 0U) || (*end != '\0')) {
        fprintf(stderr, "measure: %s is no positive number\n", text);
        exit(2);
    }
    return v;
}

int main(int argc, char **argv)
{
    uint64_t step = 1U;
    uint64_t jobs = 2U;
    const char *only = "";
    for (int i = 1; i < argc; i += 2) {
        if ((i + 1 < argc) && (strcmp(argv[i], "--step") == 0)) {
            step = positive(argv[i + 1]);
        } else if ((i + 1 < argc) && (strcmp(argv[i], "--jobs") == 0)) {
            jobs = positive(argv[i + 1]);
        } else if ((i + 1 < argc) && (strcmp(argv[i], "--only") == 0)) {
            only = argv[i + 1];
        } else {
            fprintf(stderr, "usage: measure [--step N] [--jobs N] [--only FUNCTION]\n");
            return 2;
        }
    }
    bool good = true;
    uint32_t measured = 0U;
    fprintf(stderr, "%-13s %11s %11s %6s %9s  %-17s  %s\n", "function", "inputs", "special", "wrong", "max ulp", "at",
            "correctly rounded");
    printf("[");
    for (size_t i = 0U; i < sizeof functions / sizeof functions[0]; ++i) {
        const Function *const f = &functions[i];
        if ((only[0] != '\0') && (strcmp(only, f->name) != 0)) {
            continue;
        }
        const Result r = measure(f, step, jobs);
        const double share = (double)r.nearest / (double)r.inputs;
        const bool held = (r.wrong == 0U) && (r.worst * 1000.0 <= (double)f->milliulp);
        good = good && held;
        fprintf(stderr, "%-13s %11" PRIu64 " %11" PRIu64 " %6" PRIu64 " %9.5f  %08" PRIx32 " %08" PRIx32 "  %.6f%s\n",
                f->name, r.inputs, r.special, r.wrong, r.worst, r.at, r.at2, share, held ? "" : "  EXCEEDS ITS BOUND");
        printf("%s\n{\"function\": \"%s\", \"inputs\": %" PRIu64 ", \"special\": %" PRIu64 ", \"wrong\": %" PRIu64 ", ",
               (measured == 0U) ? "" : ",", f->name, r.inputs, r.special, r.wrong);
        printf("\"max_ulp\": %.6f, \"bound_ulp\": %.3f, \"at\": [%" PRIu32 ", %" PRIu32 "], ", r.worst,
               (double)f->milliulp / 1000.0, r.at, r.at2);
        printf("\"correctly_rounded\": %.8f, \"held\": %s}", share, held ? "true" : "false");
        measured += 1U;
        fflush(NULL);
    }
    printf("\n]\n");
    if (measured == 0U) {
        fprintf(stderr, "measure: no function is called %s\n", only);
        return 2;
    }
    return good ? 0 : 1;
}
