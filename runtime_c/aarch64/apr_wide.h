/* apr_wide.h: what kernels for blocks of rows include, with NEON. */
#ifndef APR_WIDE_H
#define APR_WIDE_H

#include "apr_lines.h"

#include <arm_neon.h>

#endif
