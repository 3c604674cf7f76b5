/* apr_runs.h: values of large tables that stand beside each other several times. */
#ifndef APR_RUNS_H
#define APR_RUNS_H

#define APR_2(value) (value), (value)
#define APR_3(value) (value), (value), (value)
#define APR_4(value) APR_2(value), APR_2(value)
#define APR_5(value) APR_4(value), (value)
#define APR_6(value) APR_4(value), APR_2(value)
#define APR_7(value) APR_4(value), APR_3(value)
#define APR_8(value) APR_4(value), APR_4(value)
#define APR_9(value) APR_8(value), (value)
#define APR_10(value) APR_8(value), APR_2(value)
#define APR_11(value) APR_8(value), APR_3(value)
#define APR_12(value) APR_8(value), APR_4(value)
#define APR_13(value) APR_8(value), APR_5(value)
#define APR_14(value) APR_8(value), APR_6(value)
#define APR_15(value) APR_8(value), APR_7(value)
#define APR_16(value) APR_8(value), APR_8(value)

#endif
