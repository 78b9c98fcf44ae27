/* What a network device's driver calls itself: SIOCETHTOOL, of which netlink has no equivalent.  Source: linux/ethtool.h. */
#include <cerrno>
#include <cstring>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <string>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "addon.h"
#include "errno_error.h"

namespace {

/* Of a field that need not end with a NUL. */
template <size_t N>
std::string Text(const char (&field)[N]) {
  return std::string(field, strnlen(field, N));
}

}  // namespace

Napi::Value DeviceDriver(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  std::string name = info[0].ToString();
  ifreq req = {};
  if (name.size() >= sizeof req.ifr_name) return ThrowErrno(env, ENAMETOOLONG, "ioctl SIOCETHTOOL", name);
  memcpy(req.ifr_name, name.data(), name.size());
  ethtool_drvinfo driver = {};
  driver.cmd = ETHTOOL_GDRVINFO;
  req.ifr_data = reinterpret_cast<char *>(&driver);
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return ThrowErrno(env, errno, "socket");
  bool ok = ioctl(fd, SIOCETHTOOL, &req) == 0;
  int error = errno;
  close(fd);
  if (!ok) return ThrowErrno(env, error, "ioctl SIOCETHTOOL", name);
  Napi::Object result = Napi::Object::New(env);
  result.Set("name", Text(driver.driver));
  result.Set("version", Text(driver.version));
  result.Set("firmware", Text(driver.fw_version));
  return result;
}
