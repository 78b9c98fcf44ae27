/*
 * The library that lets unmodified programs (ovs-dpctl, ovs-vswitchd, pyroute2) use an emulated datapath: named in
 * LD_PRELOAD, it replaces the socket calls with which they would talk to the kernel's openvswitch module.
 * `tapswitch exec` sets it up.
 *
 * On NETLINK_GENERIC and NETLINK_NETFILTER sockets (the latter for conntrack), and no other:
 *  - a request for the datapath (preload_route.c) that is addressed to the kernel goes to the datapath's port id instead;
 *  - connect() to the kernel binds the socket as ever, but leaves it unconnected, since a connected socket hears its
 *    peer only; the kernel stays where sends without an address go, and what getpeername() says;
 *  - what the datapath sends looks as if it came from port id 0, because clients check that;
 *  - a receive waits for an outstanding answer (preload_wait.c);
 *  - NLMSG_OVERRUN, with which the datapath says that the socket's queue was full, becomes ENOBUFS, which is how the
 *    kernel says it.
 *
 * Of NETLINK_ROUTE and of ioctl(), one request each is changed (preload_tunnel.c).
 *
 * A descriptor's kind is asked each time and never remembered: programs close and reuse them behind our back.  Programs
 * that are linked statically or make system calls themselves (Go) are out of reach, and so are read() and write(), which
 * no client was seen to use on such a socket.
 *
 * Source: netlink(7), net/netlink/af_netlink.c (netlink_connect, netlink_getsockbyportid).
 */
#include "preload.h"

#include <dlfcn.h>
#include <errno.h>
#include <linux/netlink.h>
#include <linux/sockios.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#define EXPORT __attribute__((visibility("default")))

/* A datagram up to this size is copied on the stack. */
#define SMALL 8192
/* Enough of a datagram to see what it asks for. */
#define HEAD 256

/* The next definition of a function after ours, looked up once; a race finds the same twice. */
#define REAL(name)                                                     \
    ({                                                                 \
        static __typeof__(name) *found;                                \
        __typeof__(name) *f = __atomic_load_n(&found, __ATOMIC_RELAXED); \
        if (f == NULL) {                                               \
            *(void **)&f = dlsym(RTLD_NEXT, #name);                    \
            __atomic_store_n(&found, f, __ATOMIC_RELAXED);             \
        }                                                              \
        f;                                                             \
    })

/* What the C library's headers call instead of recv() and recvfrom() when a program is built with _FORTIFY_SOURCE. */
extern ssize_t __recv_chk(int fd, void *buf, size_t size, size_t room, int flags);
extern ssize_t __recvfrom_chk(int fd, void *buf, size_t size, size_t room, int flags, struct sockaddr *restrict from,
                              socklen_t *restrict from_size);

ssize_t real_sendmsg(int fd, const struct msghdr *msg, int flags) { return REAL(sendmsg)(fd, msg, flags); }
ssize_t real_recvmsg(int fd, struct msghdr *msg, int flags) { return REAL(recvmsg)(fd, msg, flags); }
int real_ioctl(int fd, unsigned long request, void *arg) { return REAL(ioctl)(fd, request, arg); }

/*
 * The protocol of `fd` if it is a socket on which requests may be for a datapath, and this process uses an emulated one;
 * else -1.  Keeps errno.
 */
static int protocol_of(int fd) {
    int saved = errno, protocol = 0, domain = 0;
    socklen_t size = sizeof protocol;
    bool yes = getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &size) == 0 &&
               (protocol == NETLINK_GENERIC || protocol == NETLINK_NETFILTER);
    if (yes) {
        /* These numbers mean other things to other kinds of sockets: 12 is IPPROTO_PUP. */
        size = sizeof domain;
        yes = getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_NETLINK && route_active();
    }
    errno = saved;
    return yes ? protocol : -1;
}

static bool is_ours(int fd) { return protocol_of(fd) >= 0; }

static uint64_t cookie_of(int fd) {
    uint64_t cookie = 0;
    socklen_t size = sizeof cookie;
    return getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &size) == 0 ? cookie : 0;
}

/* Whether a send with `name` as its address, which may be null, goes to the kernel. */
static bool is_to_kernel(int fd, const void *name, socklen_t name_size) {
    struct sockaddr_nl to = {0};
    if (name != NULL && name_size >= sizeof to) {
        memcpy(&to, name, sizeof to);
    } else {
        socklen_t size = sizeof to;
        if (getpeername(fd, (struct sockaddr *)&to, &size) < 0) return false;
    }
    return to.nl_pid == 0 && to.nl_groups == 0;
}

/* Offset of the last message's header among the `size` bytes of messages at `at`, which hold at least one header. */
static size_t last_message(const uint8_t *at, size_t size) {
    size_t offset = 0;
    for (;;) {
        struct nlmsghdr nlmsg;
        memcpy(&nlmsg, at + offset, sizeof nlmsg);
        if (nlmsg.nlmsg_len < sizeof nlmsg || nlmsg.nlmsg_len > size - offset) return offset;
        size_t step = NLMSG_ALIGN(nlmsg.nlmsg_len);
        if (size - offset < step + sizeof nlmsg) return offset;
        offset += step;
    }
}

/* Sends `msg`, `size` bytes of requests, to the datapath: a copy, whose last header may be changed. */
static ssize_t send_to_datapath(int fd, const struct msghdr *msg, size_t size, int flags) {
    uint8_t small[SMALL];
    uint8_t *copy = size <= sizeof small ? small : malloc(size);
    if (copy == NULL) {
        errno = ENOBUFS;
        return -1;
    }
    gather(msg, 0, copy, size);
    uint8_t *last = copy + last_message(copy, size);

    struct sockaddr_nl to = {.nl_family = AF_NETLINK, .nl_pid = DATAPATH_PORT_ID};
    struct iovec iov = {copy, size};
    struct msghdr out = *msg;
    out.msg_name = &to;
    out.msg_namelen = sizeof to;
    out.msg_iov = &iov;
    out.msg_iovlen = 1;

    uint64_t cookie = cookie_of(fd);
    wait_sending(cookie, last);
    ssize_t n = real_sendmsg(fd, &out, flags);
    int error = errno;
    if (n < 0) wait_not_sent(cookie, last);
    if (copy != small) free(copy);
    errno = error;
    return n;
}

EXPORT ssize_t sendmsg(int fd, const struct msghdr *msg, int flags) {
    uint8_t head[HEAD];
    int protocol = msg == NULL ? -1 : protocol_of(fd);
    if (protocol < 0) {
        size_t size = msg == NULL ? 0 : tunnel_rename_changed(fd, msg, head, sizeof head);
        if (size == 0) return real_sendmsg(fd, msg, flags);
        struct iovec iov = {head, size};
        struct msghdr other = *msg;
        other.msg_iov = &iov;
        other.msg_iovlen = 1;
        return real_sendmsg(fd, &other, flags);
    }
    size_t n = gather(msg, 0, head, sizeof head);
    if (!route_is_for_datapath(protocol, head, n) || !is_to_kernel(fd, msg->msg_name, msg->msg_namelen)) {
        return real_sendmsg(fd, msg, flags);
    }
    size_t size = 0;
    for (size_t i = 0; i < msg->msg_iovlen; i++) size += msg->msg_iov[i].iov_len;
    return send_to_datapath(fd, msg, size, flags);
}

EXPORT int ioctl(int fd, unsigned long request, ...) {
    va_list rest;
    va_start(rest, request);
    void *arg = va_arg(rest, void *);
    va_end(rest);
    struct ifreq renamed;
    if (request != SIOCGIFINDEX || arg == NULL || !tunnel_rename_asked(arg, &renamed)) return real_ioctl(fd, request, arg);
    int result = real_ioctl(fd, request, &renamed);
    ((struct ifreq *)arg)->ifr_ifindex = renamed.ifr_ifindex;
    return result;
}

EXPORT ssize_t sendto(int fd, const void *buf, size_t size, int flags, const struct sockaddr *to, socklen_t to_size) {
    if (!is_ours(fd)) return REAL(sendto)(fd, buf, size, flags, to, to_size);
    struct iovec iov = {(void *)buf, size};
    struct msghdr msg = {.msg_name = (void *)to, .msg_namelen = to_size, .msg_iov = &iov, .msg_iovlen = 1};
    return sendmsg(fd, &msg, flags);
}

EXPORT ssize_t send(int fd, const void *buf, size_t size, int flags) {
    if (!is_ours(fd)) return REAL(send)(fd, buf, size, flags);
    return sendto(fd, buf, size, flags, NULL, 0);
}

EXPORT int sendmmsg(int fd, struct mmsghdr *msgs, unsigned int n, int flags) {
    if (!is_ours(fd)) return REAL(sendmmsg)(fd, msgs, n, flags);
    for (unsigned int i = 0; i < n; i++) {
        ssize_t size = sendmsg(fd, &msgs[i].msg_hdr, flags);
        /* As the kernel does: the error is told if it is the first one that fails. */
        if (size < 0) return i > 0 ? (int)i : -1;
        msgs[i].msg_len = (unsigned int)size;
    }
    return (int)n;
}

EXPORT int connect(int fd, const struct sockaddr *to, socklen_t to_size) {
    int result = REAL(connect)(fd, to, to_size);
    if (result < 0 || to == NULL || to->sa_family != AF_NETLINK || !is_ours(fd)) return result;
    if (!is_to_kernel(fd, to, to_size)) return result;
    /* It has its port id now.  This dissolves the association; it cannot fail. */
    struct sockaddr nobody = {.sa_family = AF_UNSPEC};
    return REAL(connect)(fd, &nobody, sizeof nobody);
}

/* Whether `size` bytes that were received into `msg` are NLMSG_OVERRUN alone.  The kernel sends none. */
static bool is_overrun(const struct msghdr *msg, size_t size) {
    struct nlmsghdr nlmsg;
    return size == sizeof nlmsg && gather(msg, 0, &nlmsg, sizeof nlmsg) == sizeof nlmsg &&
           nlmsg.nlmsg_type == NLMSG_OVERRUN;
}

/* All receives on our sockets. */
static ssize_t receive(int fd, struct msghdr *msg, int flags) {
    uint64_t cookie = 0;
    bool may_wait = wait_any();
    if (may_wait) {
        cookie = cookie_of(fd);
        int error = wait_before_receive(fd, cookie);
        if (error != 0) {
            errno = error;
            return -1;
        }
    }
    ssize_t n = real_recvmsg(fd, msg, flags);
    if (n < 0) return n;
    if (is_overrun(msg, (size_t)n)) {
        /* An error is told once, to a peek as well. */
        if ((flags & MSG_PEEK) != 0) real_recvmsg(fd, msg, MSG_DONTWAIT);
        if (may_wait) wait_lost(cookie);
        errno = ENOBUFS;
        return -1;
    }
    int saved = errno;
    struct sockaddr_nl *from = msg->msg_name;
    if (from != NULL && msg->msg_namelen >= sizeof *from && from->nl_pid == DATAPATH_PORT_ID) from->nl_pid = 0;
    if (may_wait && (flags & MSG_PEEK) == 0) wait_after_receive(fd, cookie, msg, (size_t)n);
    errno = saved;
    return n;
}

EXPORT ssize_t recvmsg(int fd, struct msghdr *msg, int flags) {
    return msg != NULL && is_ours(fd) ? receive(fd, msg, flags) : real_recvmsg(fd, msg, flags);
}

static ssize_t receive_from(int fd, void *buf, size_t size, int flags, struct sockaddr *from, socklen_t *from_size) {
    struct sockaddr_nl sender = {0};
    struct iovec iov = {buf, size};
    struct msghdr msg = {.msg_name = &sender, .msg_namelen = sizeof sender, .msg_iov = &iov, .msg_iovlen = 1};
    ssize_t n = receive(fd, &msg, flags);
    if (n >= 0 && from != NULL && from_size != NULL) {
        memcpy(from, &sender, *from_size < sizeof sender ? *from_size : sizeof sender);
        *from_size = msg.msg_namelen;
    }
    return n;
}

EXPORT ssize_t recvfrom(int fd, void *restrict buf, size_t size, int flags, struct sockaddr *restrict from,
                        socklen_t *restrict from_size) {
    return is_ours(fd) ? receive_from(fd, buf, size, flags, from, from_size)
                       : REAL(recvfrom)(fd, buf, size, flags, from, from_size);
}

EXPORT ssize_t recv(int fd, void *buf, size_t size, int flags) {
    return is_ours(fd) ? receive_from(fd, buf, size, flags, NULL, NULL) : REAL(recv)(fd, buf, size, flags);
}

EXPORT ssize_t __recvfrom_chk(int fd, void *restrict buf, size_t size, size_t room, int flags,
                              struct sockaddr *restrict from, socklen_t *restrict from_size) {
    /* The original ends the program if `size` does not fit. */
    return size <= room && is_ours(fd) ? receive_from(fd, buf, size, flags, from, from_size)
                                       : REAL(__recvfrom_chk)(fd, buf, size, room, flags, from, from_size);
}

EXPORT ssize_t __recv_chk(int fd, void *buf, size_t size, size_t room, int flags) {
    return size <= room && is_ours(fd) ? receive_from(fd, buf, size, flags, NULL, NULL)
                                       : REAL(__recv_chk)(fd, buf, size, room, flags);
}

static bool overrun_is_next(int fd) {
    struct nlmsghdr nlmsg;
    struct iovec iov = {&nlmsg, sizeof nlmsg};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    int saved = errno;
    ssize_t n = real_recvmsg(fd, &msg, MSG_PEEK | MSG_DONTWAIT | MSG_TRUNC);
    errno = saved;
    return n > 0 && is_overrun(&msg, (size_t)n);
}

EXPORT int recvmmsg(int fd, struct mmsghdr *msgs, unsigned int n, int flags, struct timespec *timeout) {
    if (!is_ours(fd)) return REAL(recvmmsg)(fd, msgs, n, flags, timeout);
    struct timespec start, now;
    if (timeout != NULL) clock_gettime(CLOCK_MONOTONIC, &start);
    unsigned int i = 0;
    while (i < n) {
        /* An error is told by the next call, if there is something to tell before it. */
        if (i > 0 && overrun_is_next(fd)) break;
        ssize_t size = receive(fd, &msgs[i].msg_hdr, flags & ~MSG_WAITFORONE);
        if (size < 0) return i > 0 ? (int)i : -1;
        msgs[i++].msg_len = (unsigned int)size;
        if ((flags & MSG_WAITFORONE) != 0) flags |= MSG_DONTWAIT;
        if (timeout != NULL) {
            /* As documented under BUGS in recvmmsg(2), the time is looked at after each datagram only. */
            clock_gettime(CLOCK_MONOTONIC, &now);
            double spent = (double)(now.tv_sec - start.tv_sec) + (double)(now.tv_nsec - start.tv_nsec) / 1e9;
            if (spent >= (double)timeout->tv_sec + (double)timeout->tv_nsec / 1e9) break;
        }
    }
    return (int)i;
}
