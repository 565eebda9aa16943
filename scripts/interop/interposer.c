// Stands between a program and the system (LD_PRELOAD), and lets calls fail.
//
//   FAULT_ROOT=FOLDER      calls on files outside of it are passed on, and not counted
//   FAULT_AT=KIND:N:WHAT   the N-th call of a kind (from 1) fails: WHAT is a number of errno, or
//                          "short" (half of the bytes are written), "zero" (none are), "kill" (the
//                          process is killed before the call), "after" (and behind it), "stop" (it
//                          is stopped before the call, until it gets SIGCONT)
//   FAULT_ALWAYS=KIND:ERRNO,...   every call of these kinds fails; "tmpfile" is open with O_TMPFILE
//   FAULT_COUNTS=FILE      how often each kind was called is written there at the end
//   FAULT_RECORD=FILE      every change of a file or folder, in order, for `replay.py`
//
// Kinds: open (to create), read, write, fsync, fallocate, link, rename, unlink, mkdir, mmap, malloc, thread.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

// The system's own, which the last function here hides.
static long (*system_call)(long, ...);
#define syscall(...) \
  ((system_call ? 0 : (*(void **)&system_call = dlsym(RTLD_NEXT, "syscall"), 0)), system_call(__VA_ARGS__))

enum kind { OPEN, READ, WRITE, FSYNC, FALLOCATE, LINK, RENAME, UNLINK, MKDIR, MMAP, MALLOC, THREAD, KINDS };
static const char *const names[KINDS] = {"open", "read", "write", "fsync", "fallocate", "link", "rename",
                                         "unlink", "mkdir", "mmap", "malloc", "thread"};
enum { SHORT = -1, ZERO = -2, AFTER = -3 };

static atomic_long counts[KINDS];
static int fault_kind = -1;
static long fault_number;
static int fault_what;
static int fault_kills, fault_stops;
static int always[KINDS], always_tmpfile;
static const char *root, *counts_path;
static size_t root_length;
static int record = -1;
static pthread_mutex_t order = PTHREAD_MUTEX_INITIALIZER;
static int ready;

static int kind_named(const char *name, size_t length) {
  for (int kind = 0; kind < KINDS; kind++)
    if (strlen(names[kind]) == length && memcmp(names[kind], name, length) == 0) return kind;
  return -1;
}

__attribute__((constructor)) static void begin(void) {
  root = getenv("FAULT_ROOT");
  root_length = root ? strlen(root) : 0;
  counts_path = getenv("FAULT_COUNTS");
  const char *at = getenv("FAULT_AT");
  if (at) {
    const char *number = strchr(at, ':');
    const char *what = number ? strchr(number + 1, ':') : NULL;
    if (!what) abort();
    fault_kind = kind_named(at, (size_t)(number - at));
    fault_number = atol(number + 1);
    what++;
    if (!strcmp(what, "short")) fault_what = SHORT;
    else if (!strcmp(what, "zero")) fault_what = ZERO;
    else if (!strcmp(what, "kill")) fault_kills = 1;
    else if (!strcmp(what, "stop")) fault_stops = 1;
    else if (!strcmp(what, "after")) fault_what = AFTER;
    else fault_what = atoi(what);
    if (fault_kind < 0 || fault_number < 1) abort();
  }
  const char *rest = getenv("FAULT_ALWAYS");
  while (rest && *rest) {
    const char *colon = strchr(rest, ':');
    if (!colon) abort();
    int kind = kind_named(rest, (size_t)(colon - rest));
    if (kind >= 0) always[kind] = atoi(colon + 1);
    else if (!strncmp(rest, "tmpfile:", 8)) always_tmpfile = atoi(colon + 1);
    else abort();
    rest = strchr(colon, ',');
    if (rest) rest++;
  }
  const char *path = getenv("FAULT_RECORD");
  if (path) {
    int made = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    // Away from the low numbers, which some tests limit.
    record = (int)syscall(SYS_fcntl, made, F_DUPFD_CLOEXEC, 100);
    syscall(SYS_close, made);
  }
  ready = 1;
}

__attribute__((destructor)) static void end(void) {
  if (!counts_path) return;
  int file = (int)syscall(SYS_openat, AT_FDCWD, counts_path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  for (int kind = 0; kind < KINDS; kind++) {
    char line[64];
    int length = snprintf(line, sizeof line, "%s %ld\n", names[kind], atomic_load(&counts[kind]));
    syscall(SYS_write, file, line, length);
  }
  syscall(SYS_close, file);
}

// Whether the call is to fail; sets *what for those that fail in part.
static int fails(enum kind kind, int *what) {
  *what = 0;
  if (always[kind]) {
    errno = always[kind];
    return 1;
  }
  long number = atomic_fetch_add(&counts[kind], 1) + 1;
  if ((int)kind != fault_kind || number != fault_number) return 0;
  if (fault_kills) syscall(SYS_kill, getpid(), SIGKILL);
  if (fault_stops) {
    syscall(SYS_kill, getpid(), SIGSTOP);
    // Another thread may be the one that takes the signal.
    usleep(100000);
    return 0;
  }
  if (fault_what < 0) {
    *what = fault_what;
    return 0;
  }
  errno = fault_what;
  return 1;
}

static void after(int what) {
  if (what == AFTER) syscall(SYS_kill, getpid(), SIGKILL);
}

static int is_ours(const char *path) {
  if (!ready || !root || !path) return 0;
  return strncmp(path, root, root_length) == 0;
}

static int path_of(int descriptor, char *path) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  ssize_t length = syscall(SYS_readlinkat, AT_FDCWD, link, path, PATH_MAX - 1);
  path[length > 0 ? length : 0] = 0;
  return length > 0;
}

static int is_our_descriptor(int descriptor) {
  char path[PATH_MAX];
  return ready && root && path_of(descriptor, path) && is_ours(path);
}

static void note(const void *bytes, size_t count) {
  for (size_t done = 0; done < count;) {
    long written = syscall(SYS_write, record, (const char *)bytes + done, count - done);
    if (written <= 0) abort();
    done += (size_t)written;
  }
}

static void note_line(const char *format, ...) {
  char line[3 * PATH_MAX];
  va_list arguments;
  va_start(arguments, format);
  int length = vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  note(line, (size_t)length);
}

static unsigned long inode_of(int descriptor) {
  struct stat status;
  return fstat(descriptor, &status) == 0 ? (unsigned long)status.st_ino : 0;
}

// Recorded calls are made one at a time, so that the record has their order.
#define RECORDED(call, ...)                                  \
  ({                                                         \
    if (record >= 0) pthread_mutex_lock(&order);             \
    typeof(call) result = (call);                            \
    int code = errno;                                        \
    if (record >= 0) {                                       \
      if (result >= 0) { __VA_ARGS__; }                      \
      pthread_mutex_unlock(&order);                          \
    }                                                        \
    errno = code;                                            \
    result;                                                  \
  })

static int opened(int folder, const char *path, int flags, mode_t mode) {
  int makes = (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE;
  int what = 0;
  if (makes && is_ours(path)) {
    if ((flags & O_TMPFILE) == O_TMPFILE && always_tmpfile) {
      errno = always_tmpfile;
      return -1;
    }
    if (fails(OPEN, &what)) return -1;
    int result = RECORDED((int)syscall(SYS_openat, folder, path, flags, mode), {
      note_line("create %lu\n", inode_of(result));
      if ((flags & O_TMPFILE) != O_TMPFILE) note_line("link %lu %s\n", inode_of(result), path);
    });
    after(what);
    return result;
  }
  return (int)syscall(SYS_openat, folder, path, flags, mode);
}

#define MODE                                                                 \
  mode_t mode = 0;                                                           \
  if ((flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE) {               \
    va_list arguments;                                                       \
    va_start(arguments, flags);                                              \
    mode = va_arg(arguments, mode_t);                                        \
    va_end(arguments);                                                       \
  }

int open(const char *path, int flags, ...) {
  MODE return opened(AT_FDCWD, path, flags, mode);
}
int open64(const char *path, int flags, ...) {
  MODE return opened(AT_FDCWD, path, flags, mode);
}
int openat(int folder, const char *path, int flags, ...) {
  MODE return opened(folder, path, flags, mode);
}

static ssize_t written(int descriptor, const void *bytes, size_t count, off_t offset, int isAtOffset) {
  int what = 0;
  if (is_our_descriptor(descriptor)) {
    if (fails(WRITE, &what)) return -1;
    if (what == ZERO) return 0;
    if (what == SHORT && count > 1) count /= 2;
    ssize_t result = RECORDED(
        isAtOffset ? syscall(SYS_pwrite64, descriptor, bytes, count, offset)
                   : syscall(SYS_write, descriptor, bytes, count),
        {
          if (!isAtOffset) offset = lseek(descriptor, 0, SEEK_CUR) - result;
          note_line("write %lu %ld %ld\n", inode_of(descriptor), (long)offset, (long)result);
          note(bytes, (size_t)result);
        });
    after(what);
    return result;
  }
  return isAtOffset ? syscall(SYS_pwrite64, descriptor, bytes, count, offset)
                    : syscall(SYS_write, descriptor, bytes, count);
}

ssize_t pwrite(int descriptor, const void *bytes, size_t count, off_t offset) {
  return written(descriptor, bytes, count, offset, 1);
}
ssize_t pwrite64(int descriptor, const void *bytes, size_t count, off_t offset) {
  return written(descriptor, bytes, count, offset, 1);
}
ssize_t write(int descriptor, const void *bytes, size_t count) {
  return written(descriptor, bytes, count, 0, 0);
}

static ssize_t read_at(int descriptor, void *bytes, size_t count, off_t offset) {
  int what = 0;
  if (is_our_descriptor(descriptor)) {
    if (fails(READ, &what)) return -1;
    if (what == ZERO) return 0;
    if (what == SHORT && count > 1) count /= 2;
  }
  ssize_t result = syscall(SYS_pread64, descriptor, bytes, count, offset);
  after(what);
  return result;
}
ssize_t pread(int descriptor, void *bytes, size_t count, off_t offset) {
  return read_at(descriptor, bytes, count, offset);
}
ssize_t pread64(int descriptor, void *bytes, size_t count, off_t offset) {
  return read_at(descriptor, bytes, count, offset);
}

int fsync(int descriptor) {
  int what = 0;
  if (!is_our_descriptor(descriptor)) return (int)syscall(SYS_fsync, descriptor);
  if (fails(FSYNC, &what)) return -1;
  int result = RECORDED((int)syscall(SYS_fsync, descriptor), {
    struct stat status;
    fstat(descriptor, &status);
    if (S_ISDIR(status.st_mode)) {
      char path[PATH_MAX];
      path_of(descriptor, path);
      note_line("syncfolder %s\n", path);
    } else {
      note_line("sync %lu\n", (unsigned long)status.st_ino);
    }
  });
  after(what);
  return result;
}

int fallocate(int descriptor, int mode, off_t offset, off_t count) {
  int what = 0;
  if (is_our_descriptor(descriptor) && fails(FALLOCATE, &what)) return -1;
  int result = RECORDED((int)syscall(SYS_fallocate, descriptor, mode, offset, count),
                        note_line("extend %lu %ld\n", inode_of(descriptor), (long)(offset + count)));
  after(what);
  return result;
}
int fallocate64(int descriptor, int mode, off_t offset, off_t count) {
  return fallocate(descriptor, mode, offset, count);
}

int linkat(int from, const char *source, int to, const char *target, int flags) {
  int what = 0;
  if (is_ours(target) && fails(LINK, &what)) return -1;
  int result = RECORDED((int)syscall(SYS_linkat, from, source, to, target, flags), {
    struct stat status;
    lstat(target, &status);
    note_line("link %lu %s\n", (unsigned long)status.st_ino, target);
  });
  after(what);
  return result;
}
int link(const char *source, const char *target) {
  return linkat(AT_FDCWD, source, AT_FDCWD, target, 0);
}

static int renamed(const char *source, const char *target, unsigned flags) {
  int what = 0;
  if (is_ours(target) && fails(RENAME, &what)) return -1;
  int result = RECORDED((int)syscall(SYS_renameat2, AT_FDCWD, source, AT_FDCWD, target, flags),
                        note_line("rename %s\nto %s\n", source, target));
  after(what);
  return result;
}
int rename(const char *source, const char *target) { return renamed(source, target, 0); }

int unlink(const char *path) {
  int what = 0;
  if (is_ours(path) && fails(UNLINK, &what)) return -1;
  int result = RECORDED((int)syscall(SYS_unlinkat, AT_FDCWD, path, 0), note_line("unlink %s\n", path));
  after(what);
  return result;
}

int mkdir(const char *path, mode_t mode) {
  int what = 0;
  if (is_ours(path) && fails(MKDIR, &what)) return -1;
  int result = RECORDED((int)syscall(SYS_mkdirat, AT_FDCWD, path, mode), note_line("mkdir %s\n", path));
  after(what);
  return result;
}

int rmdir(const char *path) {
  return RECORDED((int)syscall(SYS_unlinkat, AT_FDCWD, path, AT_REMOVEDIR), note_line("unlink %s\n", path));
}

void *mmap(void *address, size_t count, int protection, int flags, int descriptor, off_t offset) {
  int what = 0;
  if (ready && fails(MMAP, &what)) return MAP_FAILED;
  return (void *)syscall(SYS_mmap, address, count, protection, flags, descriptor, offset);
}
void *mmap64(void *address, size_t count, int protection, int flags, int descriptor, off_t offset) {
  return mmap(address, count, protection, flags, descriptor, offset);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*body)(void *), void *argument) {
  static int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
  int what = 0;
  if (ready && fails(THREAD, &what)) return errno;
  if (!real) real = (int (*)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *))dlsym(RTLD_NEXT, "pthread_create");
  return real(thread, attributes, body, argument);
}

extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

void *malloc(size_t count) {
  int what = 0;
  return ready && fails(MALLOC, &what) ? NULL : __libc_malloc(count);
}
void *calloc(size_t number, size_t count) {
  int what = 0;
  return ready && fails(MALLOC, &what) ? NULL : __libc_calloc(number, count);
}
void *realloc(void *old, size_t count) {
  int what = 0;
  return ready && fails(MALLOC, &what) ? NULL : __libc_realloc(old, count);
}
void *aligned_alloc(size_t alignment, size_t count) {
  int what = 0;
  return ready && fails(MALLOC, &what) ? NULL : __libc_memalign(alignment, count);
}
int posix_memalign(void **made, size_t alignment, size_t count) {
  int what = 0;
  if (ready && fails(MALLOC, &what)) return ENOMEM;
  *made = __libc_memalign(alignment, count);
  return *made ? 0 : ENOMEM;
}

#undef syscall
long syscall(long number, ...) {
  va_list arguments;
  va_start(arguments, number);
  long values[6];
  for (int index = 0; index < 6; index++) values[index] = va_arg(arguments, long);
  va_end(arguments);
  // The only function for it that every C library has.
  if (number == SYS_renameat2)
    return renamed((const char *)values[1], (const char *)values[3], (unsigned)values[4]);
  if (!system_call) *(void **)&system_call = dlsym(RTLD_NEXT, "syscall");
  return system_call(number, values[0], values[1], values[2], values[3], values[4], values[5]);
}
