/*
 * The device that stands for a Geneve port is a TAP of another name (src/netlink/tunnel-stand-in.ts says why).  Stock userspace
 * asks for its index by the port's name, deletes it over rtnetlink once it has deleted the port, and first of all tries to make it: of
 * one that is there already, it deletes it and has a datapath make port and device anew.  All get the name of the device, if there is one.
 *
 * Source: lib/dpif-netlink-rtnl.c (dpif_netlink_rtnl_port_create, dpif_netlink_rtnl_destroy), lib/netdev-linux.c (linux_get_ifindex),
 * include/uapi/linux/{rtnetlink,ethtool}.h.
 */
#include "preload.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <string.h>
#include <unistd.h>

/* How the names of Geneve ports begin, and those of their devices. */
static const char prefix[] = "genev_sys_", device_prefix[sizeof prefix] = "genev_tap_";

/* Whether the device `name` is a TAP. */
static bool is_tap(const char *name) {
    struct ethtool_drvinfo driver = {.cmd = ETHTOOL_GDRVINFO};
    struct ifreq req = {.ifr_data = (void *)&driver};
    memcpy(req.ifr_name, name, IFNAMSIZ);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return false;
    bool yes = real_ioctl(fd, SIOCETHTOOL, &req) == 0 && strcmp(driver.driver, "tun") == 0;
    close(fd);
    return yes;
}

/* Offset of the name in the `size` bytes at `at`, if they ask that a device with such a name be made or deleted; else 0. */
static size_t find_name(const uint8_t *at, size_t size) {
    struct nlmsghdr nlmsg;
    struct rtattr attr;
    if (size < NLMSG_LENGTH(sizeof(struct ifinfomsg))) return 0;
    memcpy(&nlmsg, at, sizeof nlmsg);
    if (nlmsg.nlmsg_type != RTM_NEWLINK && nlmsg.nlmsg_type != RTM_DELLINK) return 0;
    if (nlmsg.nlmsg_len != size) return 0;
    for (size_t offset = NLMSG_LENGTH(sizeof(struct ifinfomsg)); size - offset >= sizeof attr;) {
        memcpy(&attr, at + offset, sizeof attr);
        if (attr.rta_len < sizeof attr || attr.rta_len > size - offset) return 0;
        if (attr.rta_type == IFLA_IFNAME) {
            size_t n = attr.rta_len - sizeof attr;
            bool yes = n >= sizeof prefix && n <= IFNAMSIZ && memcmp(at + offset + sizeof attr, prefix, sizeof prefix - 1) == 0;
            return yes ? offset + sizeof attr : 0;
        }
        if (RTA_ALIGN(attr.rta_len) > size - offset) return 0;
        offset += RTA_ALIGN(attr.rta_len);
    }
    return 0;
}

/* Whether `fd` is a socket of rtnetlink, in a process that uses an emulated datapath. */
static bool is_rtnetlink(int fd) {
    int protocol = -1, domain = 0;
    socklen_t size = sizeof protocol;
    if (getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &size) < 0 || protocol != NETLINK_ROUTE) return false;
    size = sizeof domain;
    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_NETLINK && route_active();
}

/* Makes of `name`, if it is that of a Geneve port, the name of the TAP that stands for it, if there is one. */
static bool rename_device(char name[IFNAMSIZ]) {
    char device[IFNAMSIZ];
    if (memcmp(name, prefix, sizeof prefix - 1) != 0) return false;
    memcpy(device, name, sizeof device);
    memcpy(device, device_prefix, sizeof device_prefix - 1);
    if (!is_tap(device)) return false;
    memcpy(name, device, sizeof device);
    return true;
}

size_t tunnel_rename_changed(int fd, const struct msghdr *msg, uint8_t *copy, size_t room) {
    int saved = errno;
    size_t size = gather(msg, 0, copy, room), at = size < room ? find_name(copy, size) : 0;
    char name[IFNAMSIZ] = {0};
    if (at != 0) memcpy(name, copy + at, size - at < sizeof name - 1 ? size - at : sizeof name - 1);
    bool renames = at != 0 && is_rtnetlink(fd) && rename_device(name);
    if (renames) memcpy(copy + at, name, sizeof device_prefix - 1);
    errno = saved;
    return renames ? size : 0;
}

bool tunnel_rename_asked(const struct ifreq *asked, struct ifreq *renamed) {
    int saved = errno;
    memcpy(renamed, asked, sizeof *renamed);
    bool yes = rename_device(renamed->ifr_name) && route_active();
    errno = saved;
    return yes;
}
