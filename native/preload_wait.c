/*
 * The kernel answers a netlink request inside sendmsg(), and stock code counts on it: right after a request it receives
 * with MSG_DONTWAIT, and takes "nothing there" for "done, without an answer".  A process answers a little later.  So the
 * last request of each datagram is remembered until its answer has been seen, and a receive in between waits for it.
 *
 * What the answer looks like depends on the request:
 *  - a dump ends with NLMSG_DONE, or NLMSG_ERROR;
 *  - one with NLM_F_ACK ends with NLMSG_ERROR, whose errno is 0 for success;
 *  - any other may have no answer at all.  It gets NLM_F_ACK, and the acknowledgement, which the caller does not
 *    expect, is taken out of the queue before the caller sees it.
 * Requests are executed in order, so the answer to a datagram's last one comes after all others of that datagram.
 *
 * A socket is known by its SO_COOKIE, which no other socket ever gets, so descriptors may be closed, duplicated, used again
 * or inherited by a child.  Sockets that only listen have no entry here and never wait.
 */
#include "preload.h"

#include <errno.h>
#include <linux/netlink.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* A datapath that is alive but silent for this long is taken for stuck: the receive fails with ETIMEDOUT. */
#define ANSWER_MS 5000
/* How often to see whether it still lives. */
#define PROBE_MS 250
/* An acknowledgement follows the reply to the same request at once. */
#define ACK_MS 50
/* Sockets that were closed without reading leave entries; the oldest make room. */
#define MAX_PENDING 1024

struct pending {
    struct pending *next;
    uint64_t cookie;
    uint32_t seq;
    bool is_dump;
    /* The acknowledgement was not asked for by the caller. */
    bool hide_ack;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
/* The newest first. */
static struct pending *pendings;
static atomic_int n_pending;

static void lock(void) { pthread_mutex_lock(&mutex); }
static void unlock(void) { pthread_mutex_unlock(&mutex); }
static void protect_children(void) { pthread_atfork(lock, unlock, unlock); }

/* The link that holds the entry for `seq` of `cookie`, or for any of its requests if `any`; or null.  Locked. */
static struct pending **find(uint64_t cookie, uint32_t seq, bool any) {
    for (struct pending **p = &pendings; *p != NULL; p = &(*p)->next) {
        if ((*p)->cookie == cookie && (any || (*p)->seq == seq)) return p;
    }
    return NULL;
}

static void drop(struct pending **p) {
    struct pending *gone = *p;
    *p = gone->next;
    free(gone);
    atomic_fetch_sub(&n_pending, 1);
}

static void drop_all(uint64_t cookie) {
    struct pending **p;
    lock();
    while ((p = find(cookie, 0, true)) != NULL) drop(p);
    unlock();
}

static bool is_waiting(uint64_t cookie) {
    lock();
    bool yes = find(cookie, 0, true) != NULL;
    unlock();
    return yes;
}

void wait_lost(uint64_t cookie) { drop_all(cookie); }

bool wait_any(void) { return atomic_load(&n_pending) != 0; }

void wait_sending(uint64_t cookie, uint8_t *last) {
    pthread_once(&once, protect_children);
    struct nlmsghdr nlmsg;
    memcpy(&nlmsg, last, sizeof nlmsg);
    /* Without NLM_F_REQUEST there is no answer. */
    if ((nlmsg.nlmsg_flags & NLM_F_REQUEST) == 0) return;
    struct pending *p = malloc(sizeof *p);
    if (p == NULL) return;
    p->cookie = cookie;
    p->seq = nlmsg.nlmsg_seq;
    p->is_dump = (nlmsg.nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
    p->hide_ack = !p->is_dump && (nlmsg.nlmsg_flags & NLM_F_ACK) == 0;
    if (p->hide_ack) {
        nlmsg.nlmsg_flags |= NLM_F_ACK;
        memcpy(last, &nlmsg, sizeof nlmsg);
    }
    lock();
    p->next = pendings;
    pendings = p;
    if (atomic_fetch_add(&n_pending, 1) >= MAX_PENDING) {
        struct pending **oldest = &pendings;
        while ((*oldest)->next != NULL) oldest = &(*oldest)->next;
        drop(oldest);
    }
    unlock();
}

void wait_not_sent(uint64_t cookie, const uint8_t *last) {
    struct nlmsghdr nlmsg;
    memcpy(&nlmsg, last, sizeof nlmsg);
    lock();
    struct pending **p = find(cookie, nlmsg.nlmsg_seq, false);
    if (p != NULL) drop(p);
    unlock();
}

size_t gather(const struct msghdr *msg, size_t at, void *to, size_t size) {
    size_t got = 0;
    for (size_t i = 0; i < msg->msg_iovlen && got < size; i++) {
        const struct iovec *iov = &msg->msg_iov[i];
        if (at >= iov->iov_len) {
            at -= iov->iov_len;
            continue;
        }
        size_t n = iov->iov_len - at < size - got ? iov->iov_len - at : size - got;
        memcpy((uint8_t *)to + got, (const uint8_t *)iov->iov_base + at, n);
        got += n;
        at = 0;
    }
    return got;
}

enum head { EMPTY, HIDDEN, OTHER, FAILED };

/*
 * Looks at the first datagram in the queue, and takes it out if it is an acknowledgement that is to be hidden.  Nobody
 * else takes one out in between as long as all go through here: the mutex is held.
 */
static enum head hide_ack(int fd, uint64_t cookie) {
    struct {
        struct nlmsghdr nlmsg;
        int error;
    } head;
    struct sockaddr_nl from = {0};
    struct iovec iov = {&head, sizeof head};
    struct msghdr msg = {.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &iov, .msg_iovlen = 1};
    enum head result = OTHER;
    lock();
    /* MSG_TRUNC: the size is the datagram's. */
    ssize_t n = real_recvmsg(fd, &msg, MSG_PEEK | MSG_DONTWAIT | MSG_TRUNC);
    if (n < 0) {
        result = errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? EMPTY : FAILED;
    } else if (n >= (ssize_t)sizeof head && n <= (ssize_t)NLMSG_ALIGN(head.nlmsg.nlmsg_len) &&
               from.nl_pid == DATAPATH_PORT_ID && head.nlmsg.nlmsg_type == NLMSG_ERROR && head.error == 0) {
        /* It is the only message of its datagram. */
        struct pending **p = find(cookie, head.nlmsg.nlmsg_seq, false);
        if (p != NULL && (*p)->hide_ack) {
            drop(p);
            real_recvmsg(fd, &msg, MSG_DONTWAIT);
            result = HIDDEN;
        }
    }
    unlock();
    return result;
}

/* A message without NLM_F_REQUEST has no effect and no answer. */
bool datapath_is_there(int fd) {
    struct nlmsghdr noop = {.nlmsg_len = NLMSG_HDRLEN, .nlmsg_type = NLMSG_NOOP};
    struct sockaddr_nl to = {.nl_family = AF_NETLINK, .nl_pid = DATAPATH_PORT_ID};
    struct iovec iov = {&noop, sizeof noop};
    struct msghdr msg = {.msg_name = &to, .msg_namelen = sizeof to, .msg_iov = &iov, .msg_iovlen = 1};
    return real_sendmsg(fd, &msg, MSG_DONTWAIT) >= 0 || errno != ECONNREFUSED;
}

int wait_before_receive(int fd, uint64_t cookie) {
    int waited = 0;
    while (is_waiting(cookie)) {
        int error;
        switch (hide_ack(fd, cookie)) {
            case HIDDEN:
                continue;
            case OTHER:
                return 0;
            case FAILED:
                /* ENOBUFS, which was told to us: answers are lost, and the caller sends its requests again. */
                error = errno;
                drop_all(cookie);
                return error;
            case EMPTY:
                break;
        }
        struct pollfd pfd = {.fd = fd, .events = POLLIN};
        int ready = poll(&pfd, 1, PROBE_MS);
        if (ready < 0) return errno;
        if (ready > 0) continue;
        waited += PROBE_MS;
        if (!datapath_is_there(fd) || waited >= ANSWER_MS) {
            drop_all(cookie);
            return waited >= ANSWER_MS ? ETIMEDOUT : ECONNREFUSED;
        }
    }
    return 0;
}

void wait_after_receive(int fd, uint64_t cookie, const struct msghdr *msg, size_t size) {
    bool ack_follows = false;
    struct nlmsghdr nlmsg;
    lock();
    for (size_t at = 0; at + sizeof nlmsg <= size; at += NLMSG_ALIGN(nlmsg.nlmsg_len)) {
        if (gather(msg, at, &nlmsg, sizeof nlmsg) < sizeof nlmsg) break;
        if (nlmsg.nlmsg_len < sizeof nlmsg || nlmsg.nlmsg_len > size - at) break;
        struct pending **p = find(cookie, nlmsg.nlmsg_seq, false);
        if (p == NULL) continue;
        if (nlmsg.nlmsg_type == NLMSG_ERROR || ((*p)->is_dump && nlmsg.nlmsg_type == NLMSG_DONE)) {
            drop(p);
        } else if ((*p)->hide_ack && nlmsg.nlmsg_type >= NLMSG_MIN_TYPE) {
            ack_follows = true;
        }
    }
    unlock();
    /* Take it out now: a caller that waits with poll() would otherwise wake up for nothing. */
    struct pollfd pfd = {.fd = fd, .events = POLLIN};
    if (ack_follows && poll(&pfd, 1, ACK_MS) > 0) hide_ack(fd, cookie);
}
