/* What the kernels in vectors need: the intrinsics of Arm's M-profile vector extension (Helium). */
#ifndef APR_VECTOR_H
#define APR_VECTOR_H

#include <arm_mve.h>

#endif
