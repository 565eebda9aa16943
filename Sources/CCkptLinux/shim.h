#pragma once
// What Linux has and Swift does not see, since glibc shows it to _GNU_SOURCE only.
#ifdef __linux__
#include <malloc.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
int fallocate(int descriptor, int mode, long offset, long count);
int sync_file_range(int descriptor, long offset, long count, unsigned int flags);
long syscall(long number, ...);

// renameat2 with RENAME_NOREPLACE, in the current folder; musl has no function for it.
static inline int ckpt_rename_new(const char *from, const char *to) {
  return (int)syscall(SYS_renameat2, -100, from, -100, to, 1);
}

// renameat2 with RENAME_EXCHANGE.
static inline int ckpt_rename_exchange(const char *one, const char *other) {
  return (int)syscall(SYS_renameat2, -100, one, -100, other, 2);
}
#endif
