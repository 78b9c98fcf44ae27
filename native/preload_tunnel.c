/*
 * What stock userspace must not see of the devices that stand for tunnel ports.  They are TAPs; but when it starts, it asks
 * the kernel over rtnetlink for the device of a Geneve port, and ends the process if that is there and no Geneve device.
 * Such a question gets the kernel's answer about a name that no device can have: that there is none.
 *
 * Source: lib/dpif-netlink-rtnl.c (dpif_netlink_rtnl_probe_oot_tunnels), include/uapi/linux/{rtnetlink,ethtool}.h.
 */
#include "preload.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* How stock userspace names the devices of Geneve ports. */
static const char prefix[] = "genev_sys_";
/* No device's name has one. */
#define NO_NAME '/'

/* Whether the device `name` is a TAP. */
static bool is_tap(const char *name) {
    struct ethtool_drvinfo driver = {.cmd = ETHTOOL_GDRVINFO};
    struct ifreq req = {.ifr_data = (void *)&driver};
    memcpy(req.ifr_name, name, IFNAMSIZ);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return false;
    bool yes = ioctl(fd, SIOCETHTOOL, &req) == 0 && strcmp(driver.driver, "tun") == 0;
    close(fd);
    return yes;
}

/* Offset of the name in the `size` bytes at `at`, if they ask for the one device with such a name; else 0. */
static size_t find_name(const uint8_t *at, size_t size) {
    struct nlmsghdr nlmsg;
    struct rtattr attr;
    if (size < NLMSG_LENGTH(sizeof(struct ifinfomsg))) return 0;
    memcpy(&nlmsg, at, sizeof nlmsg);
    if (nlmsg.nlmsg_type != RTM_GETLINK || (nlmsg.nlmsg_flags & NLM_F_DUMP) != 0 || nlmsg.nlmsg_len != size) return 0;
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

size_t tunnel_hide_device(int fd, const struct msghdr *msg, uint8_t *copy, size_t room) {
    int saved = errno;
    size_t size = gather(msg, 0, copy, room), at = size < room ? find_name(copy, size) : 0;
    char name[IFNAMSIZ] = {0};
    if (at != 0) memcpy(name, copy + at, size - at < sizeof name - 1 ? size - at : sizeof name - 1);
    bool hides = at != 0 && is_rtnetlink(fd) && is_tap(name);
    if (hides) copy[at] = NO_NAME;
    errno = saved;
    return hides ? size : 0;
}
