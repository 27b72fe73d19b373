/*
 * Records what a program does to the files below a directory, in order. Loaded by LD_PRELOAD.
 *
 *   POSTRIDER_RECORD_ROOT  the directory (its real path)
 *   POSTRIDER_RECORD_LOG   the record; exists already, is appended to
 *
 * Every change is made and written down under one lock (flock on the record, so that it holds between processes
 * too), therefore the order of the record is the order of the changes. A sync is written down twice, when it begins
 * and when it has succeeded: it covers what was written down before its beginning. A reply that accepts a message
 * ("Accepted as") is written down before it is sent.
 *
 * Files are named by their inode, because a descriptor may have been duplicated or its file renamed. What cannot be
 * recorded (a writable shared mapping, for instance) is written down as such, and fails the test. SQLite's "-shm" files are
 * left out: they need not outlive a crash.
 *
 * Only libc's functions are seen, no bare system calls. The test compares what the record says with the directory
 * in the end, so nothing escapes unnoticed. The reader is record.rs.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    MADE_FILE = 1, /* name in directory `a` is a new file `b` */
    MADE_DIR,      /* the same, a directory */
    WRITE,         /* octets at offset `b` of file `a` */
    TRUNCATE,      /* file `a` is `b` octets long */
    SYNC_BEGIN,    /* number `a`; file or directory `b`, or all of them: 0 */
    SYNC_END,      /* number `a` */
    LINK,          /* another name in directory `a` for file `b` */
    RENAME,        /* name1 '/' name2, from directory `a` to directory `b` */
    UNLINK,        /* name in directory `a` */
    REPLY,         /* text */
    MARK,          /* text, by the test itself */
    UNSUPPORTED    /* text */
};

struct head {
    uint32_t kind;
    uint32_t length;
    uint64_t a, b;
};

static char root[PATH_MAX];
static size_t root_length;
static int record = -1;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static uint64_t syncs;

__attribute__((constructor)) static void start(void) {
    const char *directory = getenv("POSTRIDER_RECORD_ROOT"), *log = getenv("POSTRIDER_RECORD_LOG");
    if (!directory || !log || strlen(directory) >= sizeof root) return;
    int opened = (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_APPEND | O_CLOEXEC, 0);
    if (opened < 0) {
        fprintf(stderr, "recorder: %s: %s\n", log, strerror(errno));
        _exit(70);
    }
    /* Out of the way of descriptors that a program expects at certain numbers. */
    record = fcntl(opened, F_DUPFD_CLOEXEC, 500);
    syscall(SYS_close, opened);
    strcpy(root, directory);
    root_length = strlen(root);
}

static void lock(void) {
    pthread_mutex_lock(&mutex);
    while (flock(record, LOCK_EX) != 0 && errno == EINTR) {}
}

static void unlock(void) {
    int error = errno;
    flock(record, LOCK_UN);
    pthread_mutex_unlock(&mutex);
    errno = error;
}

static void note(uint32_t kind, uint64_t a, uint64_t b, const void *octets, size_t length) {
    int error = errno;
    struct head head = {kind, (uint32_t)length, a, b};
    struct iovec parts[2] = {{&head, sizeof head}, {(void *)octets, length}};
    if (syscall(SYS_writev, record, parts, 2) != (long)(sizeof head + length)) {
        static const char text[] = "recorder: the record cannot be written\n";
        syscall(SYS_write, 2, text, sizeof text - 1);
        _exit(70);
    }
    errno = error;
}

static void unsupported(const char *what) {
    lock();
    note(UNSUPPORTED, 0, 0, what, strlen(what));
    unlock();
}

/* Whether a path, as the kernel tells it, is ours. */
static int below_root(const char *path) {
    return strncmp(path, root, root_length) == 0 && (path[root_length] == '/' || path[root_length] == 0);
}

static int ends_with(const char *text, const char *end) {
    size_t length = strlen(text), part = strlen(end);
    return length >= part && strcmp(text + length - part, end) == 0;
}

/* The inode of an open file (or directory) of ours; 0: it is not ours. */
static uint64_t ours(int fd, mode_t kind) {
    struct stat found;
    char link[64], path[PATH_MAX];
    if (record < 0) return 0;
    int error = errno;
    uint64_t inode = 0;
    if (syscall(SYS_fstat, fd, &found) == 0 && (found.st_mode & S_IFMT) == kind) {
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t length = readlink(link, path, sizeof path - 1);
        if (length > 0) {
            path[length] = 0;
            char *deleted = strstr(path, " (deleted)");
            if (deleted) *deleted = 0;
            if (below_root(path) && !ends_with(path, "-shm")) inode = found.st_ino;
        }
    }
    errno = error;
    return inode;
}

/* Where a name stands: the inode of its directory, and the name in it. */
struct place {
    uint64_t directory;
    char name[NAME_MAX + 1];
};

/* 0: it is not ours. */
static int locate(int at, const char *path, struct place *place) {
    char parent[PATH_MAX];
    if (record < 0 || !path) return 0;
    int error = errno;
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/') length--;
    if (length >= sizeof parent) return 0;
    memcpy(parent, path, length);
    parent[length] = 0;
    char *slash = strrchr(parent, '/');
    const char *name = slash ? slash + 1 : parent;
    int found = 0;
    if (strlen(name) <= NAME_MAX && !ends_with(name, "-shm")) {
        strcpy(place->name, name);
        if (slash == parent) slash++;
        if (slash) *slash = 0;
        int directory = (int)syscall(SYS_openat, at, slash ? parent : ".", O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
        if (directory >= 0) {
            place->directory = ours(directory, S_IFDIR);
            found = place->directory != 0;
            syscall(SYS_close, directory);
        }
    }
    errno = error;
    return found;
}

static uint64_t inode_at(int at, const char *path, int flags) {
    struct stat found;
    int error = errno;
    uint64_t inode = fstatat(at, path, &found, flags) == 0 ? found.st_ino : 0;
    errno = error;
    return inode;
}

/* ---- names ---- */

static int record_open(int at, const char *path, int flags, mode_t mode) {
    struct place place;
    if ((flags & O_TMPFILE) == O_TMPFILE && locate(at, path, &place)) unsupported("open with O_TMPFILE");
    if (!(flags & (O_CREAT | O_TRUNC)) || (flags & O_TMPFILE) == O_TMPFILE || !locate(at, path, &place))
        return (int)syscall(SYS_openat, at, path, flags, mode);
    lock();
    uint64_t before = inode_at(at, path, 0);
    int fd = (int)syscall(SYS_openat, at, path, flags, mode);
    if (fd >= 0) {
        uint64_t inode = ours(fd, S_IFREG);
        if (inode && !before) note(MADE_FILE, place.directory, inode, place.name, strlen(place.name));
        else if (inode && (flags & O_TRUNC)) note(TRUNCATE, inode, 0, "", 0);
    }
    unlock();
    return fd;
}

static mode_t mode_of(int flags, va_list arguments) {
    return (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(arguments, mode_t) : 0;
}

#define OPEN(function)                                    \
    int function(const char *path, int flags, ...) {      \
        va_list arguments;                                \
        va_start(arguments, flags);                       \
        mode_t mode = mode_of(flags, arguments);          \
        va_end(arguments);                                \
        return record_open(AT_FDCWD, path, flags, mode);  \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(function)                                      \
    int function(int at, const char *path, int flags, ...) {  \
        va_list arguments;                                    \
        va_start(arguments, flags);                           \
        mode_t mode = mode_of(flags, arguments);              \
        va_end(arguments);                                    \
        return record_open(at, path, flags, mode);            \
    }
OPENAT(openat)
OPENAT(openat64)

int creat(const char *path, mode_t mode) { return record_open(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }
int creat64(const char *path, mode_t mode) { return creat(path, mode); }

int mkdirat(int at, const char *path, mode_t mode) {
    struct place place;
    if (!locate(at, path, &place)) return (int)syscall(SYS_mkdirat, at, path, mode);
    lock();
    int outcome = (int)syscall(SYS_mkdirat, at, path, mode);
    if (outcome == 0)
        note(MADE_DIR, place.directory, inode_at(at, path, AT_SYMLINK_NOFOLLOW), place.name, strlen(place.name));
    unlock();
    return outcome;
}
int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }

int renameat2(int from_at, const char *from, int to_at, const char *to, unsigned flags) {
    struct place old, new;
    int old_is_ours = locate(from_at, from, &old), new_is_ours = locate(to_at, to, &new);
    if (!old_is_ours && !new_is_ours) return (int)syscall(SYS_renameat2, from_at, from, to_at, to, flags);
    if (!old_is_ours || !new_is_ours) unsupported("rename from or to outside");
    if (flags & ~1u) unsupported("renameat2 with flags"); /* 1: RENAME_NOREPLACE */
    lock();
    int outcome = (int)syscall(SYS_renameat2, from_at, from, to_at, to, flags);
    if (outcome == 0 && old_is_ours && new_is_ours) {
        char names[2 * NAME_MAX + 3];
        int length = snprintf(names, sizeof names, "%s/%s", old.name, new.name);
        note(RENAME, old.directory, new.directory, names, (size_t)length);
    }
    unlock();
    return outcome;
}
int renameat(int from_at, const char *from, int to_at, const char *to) { return renameat2(from_at, from, to_at, to, 0); }
int rename(const char *from, const char *to) { return renameat2(AT_FDCWD, from, AT_FDCWD, to, 0); }

int linkat(int from_at, const char *from, int to_at, const char *to, int flags) {
    struct place place;
    if (!locate(to_at, to, &place)) return (int)syscall(SYS_linkat, from_at, from, to_at, to, flags);
    lock();
    int outcome = (int)syscall(SYS_linkat, from_at, from, to_at, to, flags);
    if (outcome == 0)
        note(LINK, place.directory, inode_at(to_at, to, AT_SYMLINK_NOFOLLOW), place.name, strlen(place.name));
    unlock();
    return outcome;
}
int link(const char *from, const char *to) { return linkat(AT_FDCWD, from, AT_FDCWD, to, 0); }

int symlinkat(const char *target, int at, const char *path) {
    struct place place;
    if (locate(at, path, &place)) unsupported("a symbolic link");
    return (int)syscall(SYS_symlinkat, target, at, path);
}
int symlink(const char *target, const char *path) { return symlinkat(target, AT_FDCWD, path); }

int unlinkat(int at, const char *path, int flags) {
    struct place place;
    if (!locate(at, path, &place)) return (int)syscall(SYS_unlinkat, at, path, flags);
    lock();
    int outcome = (int)syscall(SYS_unlinkat, at, path, flags);
    if (outcome == 0) note(UNLINK, place.directory, 0, place.name, strlen(place.name));
    unlock();
    return outcome;
}
int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }
int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }

/* ---- octets ---- */

static ssize_t note_written(uint64_t inode, ssize_t count, off_t offset, const struct iovec *parts, int parts_count) {
    size_t rest = count > 0 ? (size_t)count : 0;
    for (int i = 0; i < parts_count && rest > 0; i++) {
        size_t length = parts[i].iov_len < rest ? parts[i].iov_len : rest;
        note(WRITE, inode, (uint64_t)offset, parts[i].iov_base, length);
        offset += (off_t)length;
        rest -= length;
    }
    return count;
}

/* Before it is sent. */
static void note_reply(const struct iovec *parts, size_t count) {
    static const char accepted[] = "Accepted as ";
    if (record < 0) return;
    for (size_t i = 0; i < count; i++) {
        if (!memmem(parts[i].iov_base, parts[i].iov_len, accepted, sizeof accepted - 1)) continue;
        lock();
        note(REPLY, 0, 0, parts[i].iov_base, parts[i].iov_len);
        unlock();
    }
}

static int is_socket(int fd) {
    struct stat found;
    int error = errno;
    int answer = record >= 0 && syscall(SYS_fstat, fd, &found) == 0 && S_ISSOCK(found.st_mode);
    errno = error;
    return answer;
}

/* At the current offset, which O_APPEND moves before the write. */
ssize_t writev(int fd, const struct iovec *parts, int count) {
    uint64_t inode = ours(fd, S_IFREG);
    if (!inode) {
        if (is_socket(fd)) note_reply(parts, (size_t)count);
        return syscall(SYS_writev, fd, parts, count);
    }
    lock();
    ssize_t written = syscall(SYS_writev, fd, parts, count);
    if (written > 0) note_written(inode, written, lseek(fd, 0, SEEK_CUR) - written, parts, count);
    unlock();
    return written;
}

ssize_t write(int fd, const void *octets, size_t length) {
    struct iovec part = {(void *)octets, length};
    return writev(fd, &part, 1);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) {
    uint64_t inode = ours(fd, S_IFREG);
    if (!inode) return syscall(SYS_pwritev, fd, parts, count, offset, 0);
    lock();
    ssize_t written = syscall(SYS_pwritev, fd, parts, count, offset, 0);
    note_written(inode, written, offset, parts, count);
    unlock();
    return written;
}
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t offset) { return pwritev(fd, parts, count, offset); }

ssize_t pwrite(int fd, const void *octets, size_t length, off_t offset) {
    struct iovec part = {(void *)octets, length};
    return pwritev(fd, &part, 1, offset);
}
ssize_t pwrite64(int fd, const void *octets, size_t length, off64_t offset) { return pwrite(fd, octets, length, offset); }

/* What the kernel has put there is read again. */
static void note_range(int fd, uint64_t inode, off_t offset, ssize_t count) {
    char link[64], *octets = malloc(count > 0 ? (size_t)count : 1);
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    int again = (int)syscall(SYS_openat, AT_FDCWD, link, O_RDONLY | O_CLOEXEC, 0);
    if (octets && again >= 0 && pread(again, octets, (size_t)count, offset) == count)
        note(WRITE, inode, (uint64_t)offset, octets, (size_t)count);
    else note(UNSUPPORTED, 0, 0, "a copy that cannot be read again", 32);
    if (again >= 0) syscall(SYS_close, again);
    free(octets);
}

ssize_t copy_file_range(int in, off64_t *in_offset, int out, off64_t *out_offset, size_t length, unsigned flags) {
    uint64_t inode = ours(out, S_IFREG);
    if (!inode) return syscall(SYS_copy_file_range, in, in_offset, out, out_offset, length, flags);
    lock();
    ssize_t count = syscall(SYS_copy_file_range, in, in_offset, out, out_offset, length, flags);
    if (count > 0) note_range(out, inode, (out_offset ? *out_offset : lseek(out, 0, SEEK_CUR)) - count, count);
    unlock();
    return count;
}

ssize_t sendfile(int out, int in, off_t *offset, size_t length) {
    uint64_t inode = ours(out, S_IFREG);
    if (!inode) return syscall(SYS_sendfile, out, in, offset, length);
    lock();
    ssize_t count = syscall(SYS_sendfile, out, in, offset, length);
    if (count > 0) note_range(out, inode, lseek(out, 0, SEEK_CUR) - count, count);
    unlock();
    return count;
}
ssize_t sendfile64(int out, int in, off64_t *offset, size_t length) { return sendfile(out, in, offset, length); }

int ftruncate(int fd, off_t length) {
    uint64_t inode = ours(fd, S_IFREG);
    if (!inode) return (int)syscall(SYS_ftruncate, fd, length);
    lock();
    int outcome = (int)syscall(SYS_ftruncate, fd, length);
    if (outcome == 0) note(TRUNCATE, inode, (uint64_t)length, "", 0);
    unlock();
    return outcome;
}
int ftruncate64(int fd, off64_t length) { return ftruncate(fd, length); }

int truncate(const char *path, off_t length) {
    struct place place;
    if (!locate(AT_FDCWD, path, &place)) return (int)syscall(SYS_truncate, path, length);
    lock();
    int outcome = (int)syscall(SYS_truncate, path, length);
    if (outcome == 0) note(TRUNCATE, inode_at(AT_FDCWD, path, 0), (uint64_t)length, "", 0);
    unlock();
    return outcome;
}
int truncate64(const char *path, off64_t length) { return truncate(path, length); }

int fallocate(int fd, int mode, off_t offset, off_t length) {
    if (ours(fd, S_IFREG)) unsupported("fallocate");
    return (int)syscall(SYS_fallocate, fd, mode, offset, length);
}
int fallocate64(int fd, int mode, off64_t offset, off64_t length) { return fallocate(fd, mode, offset, length); }
int posix_fallocate(int fd, off_t offset, off_t length) { return fallocate(fd, 0, offset, length) == 0 ? 0 : errno; }
int posix_fallocate64(int fd, off64_t offset, off64_t length) { return posix_fallocate(fd, offset, length); }

void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset) {
    if ((flags & MAP_SHARED) && (protection & PROT_WRITE) && fd >= 0 && ours(fd, S_IFREG))
        unsupported("a writable shared mapping");
    return (void *)syscall(SYS_mmap, address, length, protection, flags, fd, offset);
}
void *mmap64(void *address, size_t length, int protection, int flags, int fd, off64_t offset) {
    return mmap(address, length, protection, flags, fd, offset);
}

/* ---- syncs. msync and sync_file_range promise nothing that counts here, so they are not recorded. ---- */

static int record_sync(int call, int fd, uint64_t inode) {
    lock();
    uint64_t number = ((uint64_t)getpid() << 32) | ++syncs;
    note(SYNC_BEGIN, number, inode, "", 0);
    unlock();
    int outcome = (int)syscall(call, fd);
    if (outcome != 0) return outcome;
    lock();
    note(SYNC_END, number, 0, "", 0);
    unlock();
    return 0;
}

static int sync_one(int call, int fd) {
    uint64_t inode = ours(fd, S_IFREG);
    if (!inode) inode = ours(fd, S_IFDIR);
    return inode ? record_sync(call, fd, inode) : (int)syscall(call, fd);
}
int fsync(int fd) { return sync_one(SYS_fsync, fd); }
int fdatasync(int fd) { return sync_one(SYS_fdatasync, fd); }
int syncfs(int fd) { return record < 0 ? (int)syscall(SYS_syncfs, fd) : record_sync(SYS_syncfs, fd, 0); }

/* ---- sockets ---- */

ssize_t sendto(int fd, const void *octets, size_t length, int flags, const struct sockaddr *to, socklen_t to_length) {
    struct iovec part = {(void *)octets, length};
    note_reply(&part, 1);
    return syscall(SYS_sendto, fd, octets, length, flags, to, to_length);
}
ssize_t send(int fd, const void *octets, size_t length, int flags) { return sendto(fd, octets, length, flags, NULL, 0); }

ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
    note_reply(message->msg_iov, message->msg_iovlen);
    return syscall(SYS_sendmsg, fd, message, flags);
}
