/*
 * Options of sockets that Node made, and has no words for: the DSCP of what they send.
 * Source: ip(7) (IP_TOS), ipv6(7) (IPV6_TCLASS).
 */
#include <cerrno>
#include <netinet/in.h>
#include <sys/socket.h>

#include "addon.h"
#include "errno_error.h"

/* setDscp(fd, dscp) */
Napi::Value SetDscp(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  if (!info[0].IsNumber() || !info[1].IsNumber()) return ThrowUsage(env, "setDscp(fd, dscp)");
  int fd = info[0].As<Napi::Number>().Int32Value();
  int tos = info[1].As<Napi::Number>().Int32Value() << 2;

  int family = 0;
  socklen_t size = sizeof family;
  if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &size) < 0) return ThrowErrno(env, errno, "getsockopt", "SO_DOMAIN");
  if (family != AF_INET && family != AF_INET6) return env.Undefined();
  /* A socket of IPv6 may be connected to an address of IPv4: both count then. */
  int error = setsockopt(fd, IPPROTO_IP, IP_TOS, &tos, sizeof tos) < 0 ? errno : 0;
  if (family == AF_INET6) error = setsockopt(fd, IPPROTO_IPV6, IPV6_TCLASS, &tos, sizeof tos) < 0 ? errno : 0;
  if (error != 0) return ThrowErrno(env, error, "setsockopt", "IP_TOS");
  return env.Undefined();
}
