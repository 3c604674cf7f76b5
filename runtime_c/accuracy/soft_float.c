/* Checks the routines of apr_soft_float.h against a floating point unit, operation by operation.
 *
 * The unit is the one that qemu-arm has: the same program holds the routines for a core without one and VFP
 * instructions. From this folder, for Cortex-M0+ (armv6m) and Cortex-M3 (armv7m):
 *
 *   arm-none-eabi-gcc -O2 -mthumb -march=armv7ve+fp -mfloat-abi=softfp -ffreestanding -nostdlib \
 *       -I../armv6m soft_float.c -lgcc -o soft_float
 *   qemu-arm -cpu max ./soft_float 100000000
 *
 * The argument is the number of random pairs per operation. Prints a line per operation, and the first operands whose
 * results differ; ends with 1 if there are any. All pairs of special values come first, then all pairs of exponents
 * with mantissas of few and of many bits. */
#include "apr_soft_float.h"

#include <stdint.h>

uint32_t __aeabi_fadd(uint32_t a, uint32_t b);
uint32_t __aeabi_fsub(uint32_t a, uint32_t b);
uint32_t __aeabi_fmul(uint32_t a, uint32_t b);
uint32_t __aeabi_fdiv(uint32_t a, uint32_t b);
uint32_t __aeabi_fcmpeq(uint32_t a, uint32_t b);
uint32_t __aeabi_fcmplt(uint32_t a, uint32_t b);
uint32_t __aeabi_fcmple(uint32_t a, uint32_t b);
uint32_t __aeabi_fcmpge(uint32_t a, uint32_t b);
uint32_t __aeabi_fcmpgt(uint32_t a, uint32_t b);
uint32_t __aeabi_fcmpun(uint32_t a, uint32_t b);
void apr_start(uint32_t *stack);

typedef union {
    uint32_t u;
    float f;
} word;

static float as_float(uint32_t u)
{
    word w;
    w.u = u;
    return w.f;
}

static uint32_t as_bits(float f)
{
    word w;
    w.f = f;
    return w.u;
}

#define UNIT(name, instruction)                                             \
    static uint32_t unit_##name(uint32_t a, uint32_t b)                     \
    {                                                                       \
        float r;                                                            \
        __asm__ volatile(instruction " %0, %1, %2"                          \
                         : "=t"(r)                                          \
                         : "t"(as_float(a)), "t"(as_float(b)));             \
        return as_bits(r);                                                  \
    }
UNIT(add, "vadd.f32")
UNIT(sub, "vsub.f32")
UNIT(mul, "vmul.f32")
UNIT(div, "vdiv.f32")

static uint32_t unit_eq(uint32_t a, uint32_t b) { return (as_float(a) == as_float(b)) ? 1U : 0U; }
static uint32_t unit_lt(uint32_t a, uint32_t b) { return (as_float(a) < as_float(b)) ? 1U : 0U; }
static uint32_t unit_le(uint32_t a, uint32_t b) { return (as_float(a) <= as_float(b)) ? 1U : 0U; }
static uint32_t unit_ge(uint32_t a, uint32_t b) { return (as_float(a) >= as_float(b)) ? 1U : 0U; }
static uint32_t unit_gt(uint32_t a, uint32_t b) { return (as_float(a) > as_float(b)) ? 1U : 0U; }
static uint32_t unit_un(uint32_t a, uint32_t b) { return (__builtin_isunordered(as_float(a), as_float(b)) != 0) ? 1U : 0U; }

typedef uint32_t (*operation)(uint32_t, uint32_t);
typedef struct {
    const char *name;
    operation ours;
    operation unit;
    uint64_t pairs;
    uint64_t wrong;
} check;

/* ---- Linux, as qemu-arm gives it ------------------------------------------------------------------------------- */

static int32_t call_system(uint32_t number, uint32_t a, uint32_t b, uint32_t c)
{
    register uint32_t r7 __asm__("r7") = number;
    register uint32_t r0 __asm__("r0") = a;
    register uint32_t r1 __asm__("r1") = b;
    register uint32_t r2 __asm__("r2") = c;
    __asm__ volatile("svc #0" : "+r"(r0) : "r"(r7), "r"(r1), "r"(r2) : "memory");
    return (int32_t)r0;
}

static void print(const char *text)
{
    uint32_t n = 0U;
    while (text[n] != '\0') {
        ++n;
    }
    (void)call_system(4U, 1U, (uint32_t)text, n);
}

static void print_number(uint64_t value, uint32_t base)
{
    char digits[24];
    uint32_t at = 23U;
    digits[at] = '\0';
    do {
        digits[--at] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value != 0U);
    print(&digits[at]);
}

/* ---- Operands -------------------------------------------------------------------------------------------------- */

static uint32_t state = 0x2545F491U;

static uint32_t random_word(void) /* xorshift, then a multiplication */
{
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state * 0x9E3779B1U;
}

static void compare(check *c, uint32_t a, uint32_t b)
{
    const uint32_t ours = c->ours(a, b);
    const uint32_t unit = c->unit(a, b);
    c->pairs += 1U;
    if ((ours != unit) && (((ours << 1) <= 0xFF000000U) || ((unit << 1) <= 0xFF000000U))) {
        if (c->wrong < 5U) {
            print(c->name);
            print(" 0x");
            print_number(a, 16U);
            print(" 0x");
            print_number(b, 16U);
            print(": 0x");
            print_number(ours, 16U);
            print(" is not 0x");
            print_number(unit, 16U);
            print("\n");
        }
        c->wrong += 1U;
    }
}

static const uint32_t special[] = {
    0x00000000U, 0x00000001U, 0x00000002U, 0x00000003U, 0x00000005U, 0x00000100U, 0x00010000U, 0x00200000U,
    0x003FFFFFU, 0x00400000U, 0x00400001U, 0x007FFFFEU, 0x007FFFFFU, 0x00800000U, 0x00800001U, 0x00800003U,
    0x00FFFFFFU, 0x01000000U, 0x017FFFFFU, 0x33800000U, 0x34000000U, 0x3EFFFFFFU, 0x3F000000U, 0x3F7FFFFFU,
    0x3F800000U, 0x3F800001U, 0x3FC00000U, 0x3FFFFFFFU, 0x40000000U, 0x40400000U, 0x4B000000U, 0x4B7FFFFFU,
    0x4B800000U, 0x7E800000U, 0x7EFFFFFFU, 0x7F000000U, 0x7F000001U, 0x7F7FFFFEU, 0x7F7FFFFFU, 0x7F800000U,
    0x7F800001U, 0x7FC00000U, 0x7FFFFFFFU,
};
#define N_SPECIAL (sizeof(special) / sizeof(special[0]))

/* Few bits set, so that halves, exact results and carries through the whole mantissa occur. */
static uint32_t sparse(void)
{
    const uint32_t r = random_word();
    uint32_t m = UINT32_C(1) << (r & 31U);
    m |= UINT32_C(1) << ((r >> 5) & 31U);
    if ((r & 0x400U) != 0U) {
        m = 0U - m;
    }
    return (m & 0x7FFFFFU) | (random_word() & 0xFF800000U);
}

static void check_all(check *c, uint64_t pairs)
{
    for (uint32_t i = 0U; i < (2U * N_SPECIAL); ++i) {
        for (uint32_t j = 0U; j < (2U * N_SPECIAL); ++j) {
            compare(c, special[i >> 1] | (i << 31), special[j >> 1] | (j << 31));
        }
    }
    for (uint32_t i = 0U; i < 512U; ++i) {
        for (uint32_t j = 0U; j < 512U; ++j) {
            for (uint32_t k = 0U; k < 4U; ++k) {
                const uint32_t a = ((k & 1U) != 0U) ? random_word() : sparse();
                const uint32_t b = ((k & 2U) != 0U) ? random_word() : sparse();
                compare(c, (i << 23) | (a & 0x7FFFFFU), (j << 23) | (b & 0x7FFFFFU));
            }
        }
    }
    for (uint64_t i = 0U; i < pairs; ++i) {
        uint32_t a = random_word();
        uint32_t b = random_word();
        switch (i & 7U) {
        case 0U: /* near each other, with both signs */
            b = (a ^ (b & 0x80000000U)) + ((b & 0xFFFFU) >> (b >> 27 & 15U));
            break;
        case 1U: /* exponents at most 31 apart */
            b = (b & 0x807FFFFFU) | ((a + ((b >> 3) & 0x0F800000U)) & 0x7F800000U);
            break;
        case 2U: /* a product at the edge of what is normal */
            b = (b & 0x807FFFFFU) | (((0x3F800000U - (a & 0x7F800000U)) + ((b >> 3) & 0x0F800000U)) & 0x7F800000U);
            break;
        case 3U: /* a quotient there */
            b = (b & 0x807FFFFFU) | ((0x3F800000U + (a & 0x7F800000U) - ((b >> 3) & 0x0F800000U)) & 0x7F800000U);
            break;
        case 4U: /* a subnormal */
            a = (a & 0x80000000U) | ((a & 0x7FFFFFU) >> (a >> 26 & 31U));
            break;
        case 5U:
            b = (b & 0x80000000U) | ((b & 0x7FFFFFU) >> (b >> 26 & 31U));
            break;
        case 6U:
            a = sparse();
            b = sparse();
            break;
        default:
            break;
        }
        compare(c, a, b);
    }
    print(c->name);
    print(": ");
    print_number(c->pairs, 10U);
    print(" pairs, ");
    print_number(c->wrong, 10U);
    print(" wrong\n");
}

__attribute__((used)) void apr_start(uint32_t *stack)
{
    static check checks[] = {
        {"add", __aeabi_fadd, unit_add, 0U, 0U},  {"sub", __aeabi_fsub, unit_sub, 0U, 0U},
        {"mul", __aeabi_fmul, unit_mul, 0U, 0U},  {"div", __aeabi_fdiv, unit_div, 0U, 0U},
        {"eq", __aeabi_fcmpeq, unit_eq, 0U, 0U},  {"lt", __aeabi_fcmplt, unit_lt, 0U, 0U},
        {"le", __aeabi_fcmple, unit_le, 0U, 0U},  {"ge", __aeabi_fcmpge, unit_ge, 0U, 0U},
        {"gt", __aeabi_fcmpgt, unit_gt, 0U, 0U},  {"un", __aeabi_fcmpun, unit_un, 0U, 0U},
    };
    const char *text = (stack[0] > 1U) ? (const char *)stack[2] : "1000000";
    uint64_t pairs = 0U;
    while ((*text >= '0') && (*text <= '9')) {
        pairs = (pairs * 10U) + (uint32_t)(*text - '0');
        ++text;
    }
    uint64_t wrong = 0U;
    for (uint32_t i = 0U; i < (sizeof(checks) / sizeof(checks[0])); ++i) {
        check_all(&checks[i], pairs);
        wrong += checks[i].wrong;
    }
    (void)call_system(1U, (wrong != 0U) ? 1U : 0U, 0U, 0U);
}

__asm__("\t.text\n\t.global _start\n\t.type _start,%function\n\t.thumb_func\n_start:\n\tmov r0, sp\n\tbl apr_start\n");
