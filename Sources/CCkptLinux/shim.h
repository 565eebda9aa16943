#pragma once
// What Linux has and Swift does not see, since glibc shows it to _GNU_SOURCE only.
#ifdef __linux__
#include <malloc.h>
int fallocate(int descriptor, int mode, long offset, long count);
int sync_file_range(int descriptor, long offset, long count, unsigned int flags);
#endif
