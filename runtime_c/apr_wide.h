/* apr_wide.h: what kernels for blocks of rows include where they are portable C. */
#ifndef APR_WIDE_H
#define APR_WIDE_H

#include "apr_lines.h"

#endif
