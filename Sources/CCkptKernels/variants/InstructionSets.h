// Functions that are compiled once for each instruction set; the best one that the processor has is called.
//
// A source file puts its loops into a body, in which VARIANT(f) is the name of this variant of the function f and
// KERNEL_SET the instruction set: 0 for the baseline, 1 for AVX2 with FMA and F16C, 2 for AVX-512 (F, VL, BW, DQ). It
// includes the body once:
//
//   #define KERNEL_AVX512 1
//   #define KERNEL_BODY "merge_body.h"
//   #include "ForEachInstructionSet.h"
//
// and calls DISPATCH(f(x)); or, with KERNEL_AVX512 0, which leaves out the variants for AVX-512, DISPATCH_AVX2(f(x)).

#ifndef INSTRUCTION_SETS_H
#define INSTRUCTION_SETS_H

enum { BASELINE = 0, AVX2 = 1, AVX512 = 2 };

#if defined(__x86_64__)
/// The best of the three instruction sets that this processor has.
static inline int instruction_set(void) {
  static int known = -1;
  int value = __atomic_load_n(&known, __ATOMIC_RELAXED);
  if (value >= 0) return value;
  __builtin_cpu_init();
  value = BASELINE;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c")) {
    value = AVX2;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq")) {
      value = AVX512;
    }
  }
  __atomic_store_n(&known, value, __ATOMIC_RELAXED);
  return value;
}
/// Calls the variant of a function for this processor.
#define DISPATCH(call) \
  (instruction_set() == AVX512 ? avx512_##call : instruction_set() == AVX2 ? avx2_##call : baseline_##call)
/// The same for functions that have no variant for AVX-512.
#define DISPATCH_AVX2(call) (instruction_set() >= AVX2 ? avx2_##call : baseline_##call)
#else
static inline int instruction_set(void) { return BASELINE; }
#define DISPATCH(call) baseline_##call
#define DISPATCH_AVX2(call) baseline_##call
#endif

#endif
