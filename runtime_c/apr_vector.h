/* What kernels in vectors need: nothing, where there are none; special folders hold others. */
#ifndef APR_VECTOR_H
#define APR_VECTOR_H
#endif
