// Numbers and their bits; and that results do not depend on the machine.

#ifndef CKERNELS_FLOAT_BITS_H
#define CKERNELS_FLOAT_BITS_H

#include "CCkptKernels.h"

// A product and a sum are never fused: results must not depend on the machine.
#pragma STDC FP_CONTRACT OFF

static inline uint32_t ck_bits(float value) {
  union { float f; uint32_t u; } x = {value};
  return x.u;
}
static inline float ck_float(uint32_t bits) {
  union { uint32_t u; float f; } x = {bits};
  return x.f;
}

#endif
