// How a source file is compiled twice: it includes its own loops through KERNEL_BODY, once plain and, on x86,
// once between CK_AVX2_BEGIN and CK_AVX2_END; CK_DISPATCH calls the one that the processor can run.

#ifndef CKERNELS_SIMD_H
#define CKERNELS_SIMD_H

#include "CKernels.h"

// A product and a sum are never fused: results must not depend on the machine.
#pragma STDC FP_CONTRACT OFF

#if defined(__x86_64__)
#define CK_X86 1
#include <immintrin.h>
#define CK_AVX2_BEGIN \
  _Pragma("clang attribute push(__attribute__((target(\"avx2,f16c\"))), apply_to = function)")
#define CK_AVX2_END _Pragma("clang attribute pop")

static inline int ck_has_avx2(void) {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("f16c");
}
#define CK_DISPATCH(name, ...) (ck_has_avx2() ? name##_avx2(__VA_ARGS__) : name##_plain(__VA_ARGS__))
#else
#define CK_X86 0
#define CK_DISPATCH(name, ...) name##_plain(__VA_ARGS__)
#endif

#define CK_JOIN2(name, suffix) name##suffix
#define CK_JOIN(name, suffix) CK_JOIN2(name, suffix)
/// The name of this variant of a function.
#define CK_NAME(name) CK_JOIN(name, CK_SUFFIX)

static inline uint32_t ck_bits(float value) {
  union { float f; uint32_t u; } x = {value};
  return x.u;
}
static inline float ck_float(uint32_t bits) {
  union { uint32_t u; float f; } x = {bits};
  return x.f;
}

#endif
