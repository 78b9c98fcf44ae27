/*
 * Which netlink messages of a stock tool are for the emulated datapath?  Requests to the families that it serves,
 * questions to "nlctrl" about families called "ovs_*", and, of nfnetlink, those about conntrack: a datapath process tracks
 * connections in tables of its own.  Everything else goes to the kernel as ever: the same process may talk to ethtool,
 * WireGuard or nftables.
 *
 * The environment variable TAPSWITCH_DATAPATH says "emulated" (always), "kernel" (never), or "auto", which is the default:
 * if the kernel has a family "ovs_datapath", its module is used and this library does nothing.
 *
 * Source: include/uapi/linux/genetlink.h, linux/netfilter/nfnetlink.h; the names are those of
 * include/uapi/linux/openvswitch.h.
 */
#include "preload.h"

#include <linux/genetlink.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define N_FAMILIES 6

static const char *const family_names[N_FAMILIES] = {
    "ovs_datapath", "ovs_vport", "ovs_flow", "ovs_packet", "ovs_meter", "ovs_ct_limit",
};

/* How long to wait for a process that has a request in its queue.  A busy datapath answers in well under a second. */
#define ANSWER_MS 5000

enum mode { KERNEL, AUTO, EMULATED };

static pthread_once_t once = PTHREAD_ONCE_INIT;
static enum mode mode;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
/* nlmsg_types of the datapath's families, 0 where not known.  They are the same after a restart of the datapath. */
static uint16_t family_ids[N_FAMILIES];
static bool resolved;
/* Whether the datapath has been seen to take nfnetlink messages. */
static bool netfilter_served;

struct family_request {
    struct nlmsghdr nlmsg;
    struct genlmsghdr genl;
    struct nlattr attr;
    char name[GENL_NAMSIZ];
};

/* The attribute of `type` among the `size` bytes of attributes at `at`: its payload, and its size in `*n`; or null. */
static const uint8_t *find_attr(const uint8_t *at, size_t size, uint16_t type, size_t *n) {
    while (size >= NLA_HDRLEN) {
        struct nlattr nla;
        memcpy(&nla, at, sizeof nla);
        if (nla.nla_len < NLA_HDRLEN || nla.nla_len > size) return NULL;
        if ((nla.nla_type & NLA_TYPE_MASK) == type) {
            *n = nla.nla_len - NLA_HDRLEN;
            return at + NLA_HDRLEN;
        }
        size_t step = NLA_ALIGN(nla.nla_len);
        if (step >= size) return NULL;
        at += step;
        size -= step;
    }
    return NULL;
}

/* Asks `port_id` for the family `name` on the socket `fd`.  Returns its nlmsg_type, 0 if there is none. */
static uint16_t ask_family(int fd, uint32_t port_id, const char *name, uint32_t seq) {
    struct family_request req = {
        .nlmsg = {.nlmsg_type = GENL_ID_CTRL, .nlmsg_flags = NLM_F_REQUEST, .nlmsg_seq = seq},
        .genl = {.cmd = CTRL_CMD_GETFAMILY, .version = 1},
        .attr = {.nla_type = CTRL_ATTR_FAMILY_NAME},
    };
    size_t name_size = strlen(name) + 1;
    memcpy(req.name, name, name_size);
    req.attr.nla_len = NLA_HDRLEN + name_size;
    req.nlmsg.nlmsg_len = sizeof req - sizeof req.name + NLA_ALIGN(name_size);

    struct sockaddr_nl to = {.nl_family = AF_NETLINK, .nl_pid = port_id};
    struct iovec iov = {&req, req.nlmsg.nlmsg_len};
    struct msghdr out = {.msg_name = &to, .msg_namelen = sizeof to, .msg_iov = &iov, .msg_iovlen = 1};
    if (real_sendmsg(fd, &out, 0) < 0) return 0;

    for (;;) {
        struct pollfd pfd = {.fd = fd, .events = POLLIN};
        if (poll(&pfd, 1, ANSWER_MS) <= 0) return 0;
        uint8_t answer[4096];
        struct sockaddr_nl from = {0};
        struct iovec in_iov = {answer, sizeof answer};
        struct msghdr in = {.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &in_iov, .msg_iovlen = 1};
        ssize_t n = real_recvmsg(fd, &in, MSG_DONTWAIT);
        struct nlmsghdr nlmsg;
        if (n < (ssize_t)sizeof nlmsg) return 0;
        memcpy(&nlmsg, answer, sizeof nlmsg);
        if (from.nl_pid != port_id || nlmsg.nlmsg_seq != seq) continue;
        size_t size, attrs = NLMSG_HDRLEN + GENL_HDRLEN;
        if (nlmsg.nlmsg_type != GENL_ID_CTRL || n < (ssize_t)attrs) return 0;
        const uint8_t *id = find_attr(answer + attrs, n - attrs, CTRL_ATTR_FAMILY_ID, &size);
        uint16_t type = 0;
        if (id != NULL && size == sizeof type) memcpy(&type, id, sizeof type);
        return type;
    }
}

static int open_socket(int protocol) { return socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol); }

/* A child of a process with threads gets the mutex unlocked, whatever they were doing. */
static void lock(void) { pthread_mutex_lock(&mutex); }
static void unlock(void) { pthread_mutex_unlock(&mutex); }

static void choose_mode(void) {
    pthread_atfork(lock, unlock, unlock);
    const char *wanted = getenv("TAPSWITCH_DATAPATH");
    if (wanted != NULL && strcmp(wanted, "kernel") == 0) {
        mode = KERNEL;
    } else if (wanted != NULL && strcmp(wanted, "emulated") == 0) {
        mode = EMULATED;
    } else {
        mode = AUTO;
        int fd = open_socket(NETLINK_GENERIC);
        if (fd < 0) return;
        if (ask_family(fd, 0, family_names[0], 1) != 0) mode = KERNEL;
        close(fd);
    }
}

bool route_active(void) {
    pthread_once(&once, choose_mode);
    return mode != KERNEL;
}

/* Learns the datapath's families, if it runs; asks until it does.  The mutex is held. */
static bool resolve(void) {
    if (resolved) return true;
    int fd = open_socket(NETLINK_GENERIC);
    if (fd < 0) return false;
    for (uint32_t i = 0; i < N_FAMILIES; i++) {
        family_ids[i] = ask_family(fd, DATAPATH_PORT_ID, family_names[i], i + 1);
        /* Nobody is there, or no datapath is. */
        if (i == 0 && family_ids[0] == 0) break;
    }
    close(fd);
    resolved = family_ids[0] != 0;
    return resolved;
}

static bool is_datapath_family(uint16_t type) {
    for (int i = 0; i < N_FAMILIES; i++) {
        if (type != 0 && family_ids[i] == type) return true;
    }
    return false;
}

/* Whether somebody takes nfnetlink messages in the datapath's place; asks until it is so.  The mutex is held. */
static bool serves_netfilter(void) {
    if (netfilter_served) return true;
    int fd = open_socket(NETLINK_NETFILTER);
    if (fd < 0) return false;
    netfilter_served = datapath_is_there(fd);
    close(fd);
    return netfilter_served;
}

/* Of nfnetlink, connections, expectations and timeout policies are the datapath's. */
static bool is_conntrack(uint16_t type) {
    uint8_t subsystem = NFNL_SUBSYS_ID(type);
    return subsystem == NFNL_SUBSYS_CTNETLINK || subsystem == NFNL_SUBSYS_CTNETLINK_EXP ||
           subsystem == NFNL_SUBSYS_CTNETLINK_TIMEOUT;
}

bool route_is_for_datapath(int protocol, const uint8_t *head, size_t size) {
    struct nlmsghdr nlmsg;
    if (size < NLMSG_HDRLEN + GENL_HDRLEN) return false;
    memcpy(&nlmsg, head, sizeof nlmsg);
    if (protocol == NETLINK_NETFILTER) {
        if (!is_conntrack(nlmsg.nlmsg_type)) return false;
        lock();
        /* Where a datapath may be absent, or may track no connections, the kernel's are meant. */
        bool served = serves_netfilter() || mode == EMULATED;
        unlock();
        return served;
    }
    if (nlmsg.nlmsg_type < GENL_MIN_ID) return false;

    bool yes = false;
    lock();
    if (nlmsg.nlmsg_type != GENL_ID_CTRL) {
        yes = resolve() && is_datapath_family(nlmsg.nlmsg_type);
    } else {
        const uint8_t *attrs = head + NLMSG_HDRLEN + GENL_HDRLEN;
        size_t n, room = size - NLMSG_HDRLEN - GENL_HDRLEN;
        const uint8_t *name = find_attr(attrs, room, CTRL_ATTR_FAMILY_NAME, &n);
        const uint8_t *id = name == NULL ? find_attr(attrs, room, CTRL_ATTR_FAMILY_ID, &n) : NULL;
        uint16_t type;
        if (name != NULL && n >= 4 && memcmp(name, "ovs_", 4) == 0) {
            /* Where a datapath may be absent, the kernel says as ever that there is no such family. */
            yes = resolve() || mode == EMULATED;
        } else if (id != NULL && n == sizeof type) {
            memcpy(&type, id, sizeof type);
            yes = resolve() && is_datapath_family(type);
        }
    }
    unlock();
    return yes;
}
