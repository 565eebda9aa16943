// Includes KERNEL_BODY once for each instruction set; see InstructionSets.h.
#include "InstructionSets.h"

#define KERNEL_SET 0
#define VARIANT(name) baseline_##name
#include KERNEL_BODY
#undef VARIANT
#undef KERNEL_SET

#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#define KERNEL_SET 1
#define VARIANT(name) avx2_##name
#include KERNEL_BODY
#undef VARIANT
#undef KERNEL_SET
#pragma clang attribute pop

#if KERNEL_AVX512
#pragma clang attribute push( \
    __attribute__((target("avx512f,avx512vl,avx512bw,avx512dq,avx2,fma,f16c"))), apply_to = function)
#define KERNEL_SET 2
#define VARIANT(name) avx512_##name
#include KERNEL_BODY
#undef VARIANT
#undef KERNEL_SET
#pragma clang attribute pop
#endif
#endif

#undef KERNEL_BODY
