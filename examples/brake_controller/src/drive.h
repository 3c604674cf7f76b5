/* The sensor rows of one stop, and the decision that is right for each. Made from drive.csv. */
#ifndef DRIVE_H
#define DRIVE_H

#include <stdint.h>

#include "brake.h"

#define DRIVE_ROWS 120U

extern const float drive_rows[DRIVE_ROWS][BRAKE_N_FEATURES];
extern const uint8_t drive_decisions[DRIVE_ROWS];

#endif
