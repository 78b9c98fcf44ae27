/*
 * The preload library's four parts.  preload.c replaces the socket calls; preload_route.c knows which requests are the
 * datapath's; preload_wait.c knows which of them are not answered yet;
 * preload_tunnel.c knows the devices of Geneve ports.
 */
#ifndef TAPSWITCH_PRELOAD_H
#define TAPSWITCH_PRELOAD_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

/* The port id that an emulated datapath is bound to: DATAPATH_PORT_ID in src/netlink/constants.ts. */
#define DATAPATH_PORT_ID 0x54415053u

/* The C library's own functions, which the ones of preload.c hide. */
ssize_t real_sendmsg(int fd, const struct msghdr *msg, int flags);
ssize_t real_recvmsg(int fd, struct msghdr *msg, int flags);
int real_ioctl(int fd, unsigned long request, void *arg);

/* --- preload_route.c --- */

/* Whether this process uses an emulated datapath: false where the kernel has the module.  Asked once. */
bool route_active(void);

/*
 * Whether the datagram that begins with the `size` bytes at `head`, on a socket of `protocol` (NETLINK_GENERIC or
 * NETLINK_NETFILTER), is a request that the datapath serves.
 */
bool route_is_for_datapath(int protocol, const uint8_t *head, size_t size);

/* --- preload_wait.c --- */

/*
 * A datagram with requests for the datapath is about to leave through the socket with SO_COOKIE `cookie`.  `last` is the
 * header of its last message (struct nlmsghdr), which gets NLM_F_ACK if without it success would have no answer.
 */
void wait_sending(uint64_t cookie, uint8_t *last);
/* It did not leave after all. */
void wait_not_sent(uint64_t cookie, const uint8_t *last);

/* Whether anything is unanswered on any socket: cheap. */
bool wait_any(void);
/*
 * Before a receive: waits until there is something to read if an answer is outstanding on the socket, and removes
 * acknowledgements that the caller did not ask for.  Returns 0, or a positive errno for the receive to fail with.
 */
int wait_before_receive(int fd, uint64_t cookie);
/* After a receive (not a peek) of `size` bytes into `msg`. */
void wait_after_receive(int fd, uint64_t cookie, const struct msghdr *msg, size_t size);

/* The socket lost something, maybe answers: no receive waits for them any more. */
void wait_lost(uint64_t cookie);

/* Whether a datapath serves the protocol of the netlink socket `fd`. */
bool datapath_is_there(int fd);

/* --- preload_tunnel.c --- */

/*
 * If `msg`, to be sent on `fd`, has rtnetlink make or delete the device of a Geneve port by the port's name, and there is one, copies it to
 * `copy`, with the name of the device, and returns its size; else 0.  `room` is more than any such message has.
 */
size_t tunnel_rename_changed(int fd, const struct msghdr *msg, uint8_t *copy, size_t room);
/* If `asked` names a Geneve port, makes `renamed` the same with the name of its device; else false. */
bool tunnel_rename_asked(const struct ifreq *asked, struct ifreq *renamed);

/* Copies up to `size` bytes from offset `at` of scattered memory; returns how many there were. */
size_t gather(const struct msghdr *msg, size_t at, void *to, size_t size);

#endif
