#pragma once
// What Linux has and Swift does not see, since glibc shows it to _GNU_SOURCE only.
#ifdef __linux__
int sync_file_range(int descriptor, long offset, long count, unsigned int flags);
long copy_file_range(
    int from, long *from_offset, int to, long *to_offset, unsigned long count, unsigned int flags);
#endif
