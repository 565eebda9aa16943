#pragma once
// Which of the functions of a name is called: `CHOOSE(f(x))` calls `avx512_f`, `avx2_f` or `plain_f`.

#if defined(__x86_64__)
/// 2 for AVX-512, 1 for AVX2 with FMA, 0 for neither.
static int level(void) {
  static int known = -1;
  int value = __atomic_load_n(&known, __ATOMIC_RELAXED);
  if (value >= 0) return value;
  __builtin_cpu_init();
  value = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
                  __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq")
              ? 2
          : __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? 1
                                                                             : 0;
  __atomic_store_n(&known, value, __ATOMIC_RELAXED);
  return value;
}
#define CHOOSE(call) \
  (level() == 2 ? avx512_##call : level() == 1 ? avx2_##call : plain_##call)
#else
static inline int level(void) { return 0; }
#define CHOOSE(call) plain_##call
#endif
