/* The model that the valve was made with. */
#ifndef FACTORY_H
#define FACTORY_H

#include <stdint.h>

extern const uint8_t factory[];
extern const uint32_t factory_size;

#endif
