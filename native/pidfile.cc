/*
 * Pidfiles as Open vSwitch's daemons and ovs-appctl understand them: the daemon holds a POSIX write lock on the whole
 * file, and F_GETLK must name the pid that the file does.  Source: fcntl(2), lib/daemon-unix.c of OVS.
 *
 * A process loses such a lock when it closes any descriptor of the file, whoever opened it.  So a locked file is
 * remembered here and never opened a second time by this file's functions, and nobody else may read it by name.
 */
#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include "addon.h"
#include "errno_error.h"

namespace {

/* Device and inode of each file that this process has locked. */
std::vector<std::pair<dev_t, ino_t>> locked;

struct flock WholeFile() {
  struct flock l {};
  l.l_type = F_WRLCK;
  l.l_whence = SEEK_SET;
  return l;
}

bool IsLockedHere(const struct stat &st) {
  for (const auto &[dev, ino] : locked) {
    if (dev == st.st_dev && ino == st.st_ino) return true;
  }
  return false;
}

}  // namespace

Napi::Value LockPidfile(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  if (!info[0].IsString() || !info[1].IsString()) return ThrowUsage(env, "lockPidfile(path, text)");
  std::string path = info[0].As<Napi::String>();
  std::string text = info[1].As<Napi::String>();

  struct stat named, opened;
  if (stat(path.c_str(), &named) == 0 && IsLockedHere(named)) return ThrowErrno(env, EAGAIN, "fcntl", path);
  int fd;
  for (;;) {
    fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0) return ThrowErrno(env, errno, "open", path);
    struct flock lock = WholeFile();
    if (fcntl(fd, F_SETLK, &lock) < 0) {
      int error = errno;
      close(fd);
      return ThrowErrno(env, error, "fcntl", path);
    }
    /* The holder before us may have removed the file between open() and the lock: then this is no longer `path`. */
    if (fstat(fd, &opened) == 0 && stat(path.c_str(), &named) == 0 && named.st_ino == opened.st_ino &&
        named.st_dev == opened.st_dev) {
      break;
    }
    close(fd);
  }
  if (ftruncate(fd, 0) < 0 || write(fd, text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    int error = errno != 0 ? errno : EIO;
    close(fd);
    return ThrowErrno(env, error, "write", path);
  }
  locked.emplace_back(opened.st_dev, opened.st_ino);
  /* The descriptor stays open for the life of the process: closing it would give up the lock. */
  return env.Undefined();
}

Napi::Value PidfileHolder(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  if (!info[0].IsString()) return ThrowUsage(env, "pidfileHolder(path)");
  std::string path = info[0].As<Napi::String>();
  struct stat st;
  if (stat(path.c_str(), &st) < 0) return ThrowErrno(env, errno, "stat", path);
  if (IsLockedHere(st)) return Napi::Number::New(env, getpid());
  int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return ThrowErrno(env, errno, "open", path);
  struct flock lock = WholeFile();
  int result = fcntl(fd, F_GETLK, &lock);
  int error = errno;
  close(fd);
  if (result < 0) return ThrowErrno(env, error, "fcntl", path);
  return Napi::Number::New(env, lock.l_type == F_UNLCK ? 0 : lock.l_pid);
}
