/*
 * What a daemon does to its own process: another user with few capabilities, locked memory, no terminal; and datagram sockets for its log.
 * Source: capabilities(7), mlockall(2), prctl(2), unix(7), udp(7).
 */
#include <arpa/inet.h>
#include <cerrno>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "addon.h"
#include "errno_error.h"

namespace {

/* Makes `caps` the permitted, effective and inheritable capabilities of this thread. */
int SetCapabilities(uint64_t caps) {
  struct __user_cap_header_struct header {};
  header.version = _LINUX_CAPABILITY_VERSION_3;
  struct __user_cap_data_struct data[2] {};
  for (int i = 0; i < 2; i++) {
    data[i].permitted = data[i].effective = data[i].inheritable = static_cast<uint32_t>(caps >> (32 * i));
  }
  return static_cast<int>(syscall(SYS_capset, &header, data));
}

/*
 * Lets any number of bytes be locked.  The engine's threads allocate, too, and have no CAP_IPC_LOCK after becomeUser(): where a limit remained,
 * one that meets it would end the process.
 */
int LiftLockLimit() {
  struct rlimit limit;
  if (getrlimit(RLIMIT_MEMLOCK, &limit) < 0) return -1;
  if (limit.rlim_cur == RLIM_INFINITY) return 0;
  limit.rlim_cur = limit.rlim_max = RLIM_INFINITY;
  return setrlimit(RLIMIT_MEMLOCK, &limit);
}

}  // namespace

/* becomeUser(uid, gid, capabilities) */
Napi::Value BecomeUser(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  if (!info[0].IsNumber() || !info[1].IsNumber() || !info[2].IsArray()) {
    return ThrowUsage(env, "becomeUser(uid, gid, capabilities)");
  }
  uid_t uid = info[0].As<Napi::Number>().Uint32Value();
  gid_t gid = info[1].As<Napi::Number>().Uint32Value();
  auto list = info[2].As<Napi::Array>();
  uint64_t caps = 0;
  for (uint32_t i = 0; i < list.Length(); i++) caps |= uint64_t{1} << (list.Get(i).ToNumber().Uint32Value() & 63);

  /* For lockMemory() later; who may not do this will hear of it then. */
  (void)LiftLockLimit();
  /* No program that is executed from now on gets more than these. */
  for (unsigned cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++) {
    if ((caps >> cap & 1) == 0 && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0) {
      return ThrowErrno(env, errno, "prctl", "PR_CAPBSET_DROP");
    }
  }
  if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0) return ThrowErrno(env, errno, "prctl", "PR_SET_KEEPCAPS");
  /* These three the C library carries out in all threads; the others of this process lose all capabilities by it. */
  if (setgroups(0, nullptr) < 0) return ThrowErrno(env, errno, "setgroups");
  if (setresgid(gid, gid, gid) < 0) return ThrowErrno(env, errno, "setresgid");
  if (setresuid(uid, uid, uid) < 0) return ThrowErrno(env, errno, "setresuid");
  if (SetCapabilities(caps) < 0) return ThrowErrno(env, errno, "capset");
  /* This program, when it executes itself as a monitor or in the background, is to keep them. */
  for (unsigned cap = 0; cap < 64; cap++) {
    if ((caps >> cap & 1) != 0 && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) < 0) {
      return ThrowErrno(env, errno, "prctl", "PR_CAP_AMBIENT_RAISE");
    }
  }
  return env.Undefined();
}

/* lockMemory() */
Napi::Value LockMemory(const Napi::CallbackInfo &info) {
  if (LiftLockLimit() < 0) return ThrowErrno(info.Env(), errno, "setrlimit", "RLIMIT_MEMLOCK");
  /* Reserved ranges, which the engine has many of, are locked as they come into use. */
  if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) < 0) return ThrowErrno(info.Env(), errno, "mlockall");
  return info.Env().Undefined();
}

/* closeStandardFds() */
Napi::Value CloseStandardFds(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null < 0) return ThrowErrno(env, errno, "open", "/dev/null");
  for (int fd = 0; fd <= 2; fd++) {
    if (dup2(null, fd) < 0) {
      int error = errno;
      close(null);
      return ThrowErrno(env, error, "dup2");
    }
  }
  if (null > 2) close(null);
  return env.Undefined();
}

/* connectDatagram(address, port) */
Napi::Value ConnectDatagram(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  if (!info[0].IsString() || !info[1].IsNumber()) return ThrowUsage(env, "connectDatagram(address, port)");
  std::string address = info[0].As<Napi::String>();
  uint16_t port = static_cast<uint16_t>(info[1].As<Napi::Number>().Uint32Value());

  union {
    struct sockaddr any;
    struct sockaddr_un un;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
  } to {};
  socklen_t size;
  if (port == 0) {
    if (address.size() >= sizeof to.un.sun_path) return ThrowErrno(env, ENAMETOOLONG, "connect", address);
    to.un.sun_family = AF_UNIX;
    memcpy(to.un.sun_path, address.c_str(), address.size() + 1);
    size = sizeof to.un;
  } else if (inet_pton(AF_INET, address.c_str(), &to.in.sin_addr) == 1) {
    to.in.sin_family = AF_INET;
    to.in.sin_port = htons(port);
    size = sizeof to.in;
  } else if (inet_pton(AF_INET6, address.c_str(), &to.in6.sin6_addr) == 1) {
    to.in6.sin6_family = AF_INET6;
    to.in6.sin6_port = htons(port);
    size = sizeof to.in6;
  } else {
    return ThrowErrno(env, EINVAL, "connect", address);
  }
  int fd = socket(to.any.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return ThrowErrno(env, errno, "socket");
  if (connect(fd, &to.any, size) < 0) {
    int error = errno;
    close(fd);
    return ThrowErrno(env, error, "connect", address);
  }
  return Napi::Number::New(env, fd);
}
