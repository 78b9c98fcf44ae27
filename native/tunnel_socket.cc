/*
 * Sockets of tunnel ports: UDP sockets that hear VXLAN and Geneve, and raw sockets that send them (so that each packet has
 * the source port that its flow wants) and carry GRE both ways.  Each packet comes and goes with its addresses, TTL and TOS.
 *
 * A socket that only sends is bound to a multicast address that nobody uses: it then hears nothing, and the kernel still
 * chooses the source of what it sends.
 * Source: ip(7), ipv6(7), udp(7), raw(7); socket(7) on SO_ATTACH_REUSEPORT_CBPF; Documentation/networking/filter.rst.
 */
#include <algorithm>
#include <cerrno>
#include <cstring>

#include <arpa/inet.h>
#include <linux/filter.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "addon.h"
#include "bytes.h"
#include "errno_error.h"
#include "poller.h"

namespace {

constexpr int kBatch = 64;
/* TUNNEL_RX_WORDS and TUNNEL_TX_WORDS in src/native/index.ts. */
constexpr int kRxWords = 12;
constexpr int kTxWords = 14;
constexpr size_t kControlSize = 128;

/* Linux 4.5 and 3.16; kernel headers may be older than the kernel. */
#ifndef SO_ATTACH_REUSEPORT_CBPF
#define SO_ATTACH_REUSEPORT_CBPF 51
#endif
#ifndef UDP_NO_CHECK6_RX
#define UDP_NO_CHECK6_RX 102
#endif

template <typename T>
bool SetOption(int fd, int level, int name, T value) {
  return setsockopt(fd, level, name, &value, sizeof value) == 0;
}

/*
 * Chooses among the two sockets of a port by the UDP checksum of a packet: the first one hears those without, the second
 * those with.  Nothing else tells user space which it was.
 */
bool AttachChooser(int fd, bool ipv6) {
  constexpr uint32_t kNet = static_cast<uint32_t>(SKF_NET_OFF);
  sock_filter ipv4_code[] = {
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, kNet),
      BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 15),
      BPF_STMT(BPF_ALU | BPF_LSH | BPF_K, 2),
      BPF_STMT(BPF_MISC | BPF_TAX, 0),
      BPF_STMT(BPF_LD | BPF_H | BPF_IND, kNet + 6),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, 1),
      BPF_STMT(BPF_RET | BPF_K, 0),
  };
  sock_filter ipv6_code[] = {
      BPF_STMT(BPF_LD | BPF_H | BPF_ABS, kNet + 40 + 6),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, 1),
      BPF_STMT(BPF_RET | BPF_K, 0),
  };
  sock_fprog program = {};
  program.len = ipv6 ? std::size(ipv6_code) : std::size(ipv4_code);
  program.filter = ipv6 ? ipv6_code : ipv4_code;
  return SetOption(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, program);
}

class TunnelSocket : public Napi::ObjectWrap<TunnelSocket> {
 public:
  explicit TunnelSocket(const Napi::CallbackInfo &info) : Napi::ObjectWrap<TunnelSocket>(info) {}
  ~TunnelSocket() override { CloseNow(); }

  bool SetArena(Napi::Value arena) {
    if (!arena.IsObject()) return false;
    Napi::Value buffer = arena.As<Napi::Object>().Get("buffer");
    if (!buffer.IsArrayBuffer()) return false;
    arena_ = static_cast<uint8_t *>(buffer.As<Napi::ArrayBuffer>().Data());
    arena_size_ = buffer.As<Napi::ArrayBuffer>().ByteLength();
    return true;
  }

  /* Each returns the name of the call that failed, or null; errno says why. */

  const char *OpenUdp(bool ipv6, int port, bool chooses, int rcvbuf) {
    ipv6_ = ipv6;
    fd_ = socket(ipv6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_UDP);
    if (fd_ < 0) return "socket";
    /*
     * Only while the pair is made may a port be shared: the first socket must fail where anybody else has the port, so it
     * allows sharing after it is bound.
     */
    if (!chooses && !SetOption(fd_, SOL_SOCKET, SO_REUSEPORT, 1)) return "setsockopt";
    if (ipv6 && (!SetOption(fd_, IPPROTO_IPV6, IPV6_V6ONLY, 1) || !SetOption(fd_, IPPROTO_UDP, UDP_NO_CHECK6_RX, 1))) {
      return "setsockopt";
    }
    if (const char *failed = AskForMetadata(rcvbuf)) return failed;
    if (chooses) {
      /* Whoever has the port now, shared or not, is found by a bind that does not share. */
      int probe = socket(ipv6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_UDP);
      if (probe < 0) return "socket";
      if (ipv6) SetOption(probe, IPPROTO_IPV6, IPV6_V6ONLY, 1);
      bool is_free = Bind(probe, ipv6, port);
      int error = errno;
      close(probe);
      errno = error;
      if (!is_free) return "bind";
      if (!SetOption(fd_, SOL_SOCKET, SO_REUSEPORT, 1)) return "setsockopt";
    }
    if (!Bind(fd_, ipv6, port)) return "bind";
    if (chooses && !AttachChooser(fd_, ipv6)) return "setsockopt";
    return nullptr;
  }

  const char *OpenRaw(bool ipv6, int protocol, bool hears, bool dont_fragment, int rcvbuf) {
    ipv6_ = ipv6;
    fd_ = socket(ipv6 ? AF_INET6 : AF_INET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
    if (fd_ < 0) return "socket";
    SetOption(fd_, SOL_SOCKET, SO_SNDBUF, 4 << 20);
    SetOption(fd_, SOL_SOCKET, SO_SNDBUFFORCE, 4 << 20);
    bool ok = ipv6 ? SetOption(fd_, IPPROTO_IPV6, IPV6_MTU_DISCOVER, dont_fragment ? IPV6_PMTUDISC_DO : IPV6_PMTUDISC_DONT)
                   : SetOption(fd_, IPPROTO_IP, IP_MTU_DISCOVER, dont_fragment ? IP_PMTUDISC_DO : IP_PMTUDISC_DONT);
    if (!ok) return "setsockopt";
    // Tunnels have no flow label, whatever the host gives its own packets.
    if (ipv6) SetOption(fd_, IPPROTO_IPV6, IPV6_AUTOFLOWLABEL, 0);
    if (hears) return AskForMetadata(rcvbuf);
    sockaddr_in deaf4 = {};
    deaf4.sin_family = AF_INET;
    deaf4.sin_addr.s_addr = htonl(0xefffff54);
    sockaddr_in6 deaf6 = {};
    deaf6.sin6_family = AF_INET6;
    inet_pton(AF_INET6, "ff15::7461:7073", &deaf6.sin6_addr);
    bool bound = ipv6 ? bind(fd_, reinterpret_cast<sockaddr *>(&deaf6), sizeof deaf6) == 0
                      : bind(fd_, reinterpret_cast<sockaddr *>(&deaf4), sizeof deaf4) == 0;
    return bound ? nullptr : "bind";
  }

  Napi::Value Fd(const Napi::CallbackInfo &info) { return Napi::Number::New(info.Env(), fd_); }

  /* receive(base, stride, max, info) */
  Napi::Value Receive(const Napi::CallbackInfo &info) {
    Napi::Env env = info.Env();
    double base = Num(env, info[0]), stride = Num(env, info[1]);
    Span<int32_t> words = WordsOf(env, info[3]);
    uint32_t max = std::min<uint32_t>(U32(env, info[2]), kBatch);
    max = std::min<uint32_t>(max, static_cast<uint32_t>(words.length / kRxWords));
    if (fd_ < 0) return Napi::Number::New(env, -EBADF);
    if (!(base >= 0 && stride > 0 && base + stride * max <= static_cast<double>(arena_size_))) {
      return Napi::Number::New(env, -EINVAL);
    }
    for (uint32_t i = 0; i < max; i++) {
      iov_[i][0] = {arena_ + static_cast<size_t>(base) + i * static_cast<size_t>(stride), static_cast<size_t>(stride)};
      msghdr &msg = msgs_[i].msg_hdr;
      memset(&msg, 0, sizeof msg);
      msg.msg_name = &names_[i];
      msg.msg_namelen = sizeof names_[i];
      msg.msg_iov = iov_[i];
      msg.msg_iovlen = 1;
      msg.msg_control = control_[i];
      msg.msg_controllen = kControlSize;
    }
    int n;
    do {
      n = recvmmsg(fd_, msgs_, max, MSG_DONTWAIT, nullptr);
    } while (n < 0 && errno == EINTR);
    if (n < 0) return Napi::Number::New(env, errno == EAGAIN ? 0 : -errno);
    for (int i = 0; i < n; i++) Describe(i, words.data + i * kRxWords);
    return Napi::Number::New(env, n);
  }

  /* send(list, n) */
  Napi::Value Send(const Napi::CallbackInfo &info) {
    Napi::Env env = info.Env();
    Span<int32_t> list = WordsOf(env, info[0]);
    uint32_t n = std::min<uint32_t>(U32(env, info[1]), static_cast<uint32_t>(list.length / kTxWords));
    if (fd_ < 0) return Napi::Number::New(env, -EBADF);
    uint32_t sent = 0;
    for (uint32_t done = 0; done < n;) {
      uint32_t batch = std::min<uint32_t>(n - done, kBatch);
      sent += SendBatch(list.data + done * kTxWords, batch);
      done += batch;
    }
    return Napi::Number::New(env, sent);
  }

  Napi::Value Poll(const Napi::CallbackInfo &info) {
    if (!info[0].IsFunction()) {
      poller_.Stop();
      return info.Env().Undefined();
    }
    if (fd_ < 0) return ThrowErrno(info.Env(), EBADF, "poll");
    int error = poller_.Start(info.Env(), fd_, info.This().As<Napi::Object>(), info[0].As<Napi::Function>());
    if (error != 0) return ThrowErrno(info.Env(), -error, "uv_poll_start");
    return info.Env().Undefined();
  }

  Napi::Value Close(const Napi::CallbackInfo &info) {
    CloseNow();
    return info.Env().Undefined();
  }

 private:
  void CloseNow() {
    poller_.Close();
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }

  static bool Bind(int fd, bool ipv6, int port) {
    sockaddr_in any4 = {};
    any4.sin_family = AF_INET;
    any4.sin_port = htons(static_cast<uint16_t>(port));
    sockaddr_in6 any6 = {};
    any6.sin6_family = AF_INET6;
    any6.sin6_port = htons(static_cast<uint16_t>(port));
    return ipv6 ? bind(fd, reinterpret_cast<sockaddr *>(&any6), sizeof any6) == 0
                : bind(fd, reinterpret_cast<sockaddr *>(&any4), sizeof any4) == 0;
  }

  const char *AskForMetadata(int rcvbuf) {
    SetOption(fd_, SOL_SOCKET, SO_RCVBUF, rcvbuf);
    SetOption(fd_, SOL_SOCKET, SO_RCVBUFFORCE, rcvbuf);
    bool ok = ipv6_ ? SetOption(fd_, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1) &&
                          SetOption(fd_, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1) &&
                          SetOption(fd_, IPPROTO_IPV6, IPV6_RECVTCLASS, 1)
                    : SetOption(fd_, IPPROTO_IP, IP_PKTINFO, 1) && SetOption(fd_, IPPROTO_IP, IP_RECVTTL, 1) &&
                          SetOption(fd_, IPPROTO_IP, IP_RECVTOS, 1);
    return ok ? nullptr : "setsockopt";
  }

  static int32_t Word(const void *from) {
    uint32_t word;
    memcpy(&word, from, sizeof word);
    return static_cast<int32_t>(ntohl(word));
  }

  /* Fills the row of a received packet. */
  void Describe(int i, int32_t *row) {
    msghdr &msg = msgs_[i].msg_hdr;
    memset(row, 0, kRxWords * sizeof *row);
    row[0] = (msg.msg_flags & MSG_TRUNC) != 0 ? 0 : static_cast<int32_t>(msgs_[i].msg_len);
    if (ipv6_) {
      for (int w = 0; w < 4; w++) row[1 + w] = Word(names_[i].in6.sin6_addr.s6_addr + 4 * w);
      row[9] = ntohs(names_[i].in6.sin6_port);
    } else {
      row[1] = Word(&names_[i].in4.sin_addr);
      row[9] = ntohs(names_[i].in4.sin_port);
    }
    int tos = 0, ttl = 0;
    for (cmsghdr *c = CMSG_FIRSTHDR(&msg); c != nullptr; c = CMSG_NXTHDR(&msg, c)) {
      if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
        in_pktinfo pktinfo;
        memcpy(&pktinfo, CMSG_DATA(c), sizeof pktinfo);
        row[5] = Word(&pktinfo.ipi_addr);
        row[11] = pktinfo.ipi_ifindex;
      } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
        in6_pktinfo pktinfo;
        memcpy(&pktinfo, CMSG_DATA(c), sizeof pktinfo);
        for (int w = 0; w < 4; w++) row[5 + w] = Word(pktinfo.ipi6_addr.s6_addr + 4 * w);
        row[11] = static_cast<int32_t>(pktinfo.ipi6_ifindex);
      } else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS) {
        tos = *CMSG_DATA(c);
      } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_TCLASS) {
        memcpy(&tos, CMSG_DATA(c), sizeof tos);
      } else if ((c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TTL) ||
                 (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_HOPLIMIT)) {
        memcpy(&ttl, CMSG_DATA(c), sizeof ttl);
      }
    }
    row[10] = ((tos & 0xff) << 8) | (ttl & 0xff);
  }

  iovec Range(int32_t at, int32_t size) {
    size_t offset = static_cast<uint32_t>(at), length = static_cast<uint32_t>(size);
    bool fits = offset <= arena_size_ && length <= arena_size_ - offset;
    return {fits ? arena_ + offset : nullptr, fits ? length : 0};
  }

  template <typename T>
  static void AddControl(msghdr *msg, int level, int type, const T &value) {
    auto *c = reinterpret_cast<cmsghdr *>(static_cast<char *>(msg->msg_control) + msg->msg_controllen);
    c->cmsg_level = level;
    c->cmsg_type = type;
    c->cmsg_len = CMSG_LEN(sizeof value);
    memcpy(CMSG_DATA(c), &value, sizeof value);
    msg->msg_controllen += CMSG_SPACE(sizeof value);
  }

  static void PutWords(void *to, const int32_t *words, int n) {
    for (int w = 0; w < n; w++) {
      uint32_t word = htonl(static_cast<uint32_t>(words[w]));
      memcpy(static_cast<uint8_t *>(to) + 4 * w, &word, sizeof word);
    }
  }

  void Prepare(int i, const int32_t *row) {
    iov_[i][0] = Range(row[0], row[1]);
    iov_[i][1] = Range(row[2], row[3]);
    msghdr &msg = msgs_[i].msg_hdr;
    memset(&msg, 0, sizeof msg);
    msg.msg_iov = iov_[i];
    msg.msg_iovlen = 2;
    msg.msg_name = &names_[i];
    msg.msg_control = control_[i];
    memset(&names_[i], 0, sizeof names_[i]);
    int tos = row[4] & 0xff, ttl = row[5] & 0xff;
    if (ipv6_) {
      names_[i].in6.sin6_family = AF_INET6;
      PutWords(&names_[i].in6.sin6_addr, row + 10, 4);
      msg.msg_namelen = sizeof(sockaddr_in6);
      in6_pktinfo pktinfo = {};
      PutWords(&pktinfo.ipi6_addr, row + 6, 4);
      AddControl(&msg, IPPROTO_IPV6, IPV6_PKTINFO, pktinfo);
      AddControl(&msg, IPPROTO_IPV6, IPV6_TCLASS, tos);
      if (ttl != 0) AddControl(&msg, IPPROTO_IPV6, IPV6_HOPLIMIT, ttl);
    } else {
      names_[i].in4.sin_family = AF_INET;
      PutWords(&names_[i].in4.sin_addr, row + 10, 1);
      msg.msg_namelen = sizeof(sockaddr_in);
      in_pktinfo pktinfo = {};
      PutWords(&pktinfo.ipi_spec_dst, row + 6, 1);
      AddControl(&msg, IPPROTO_IP, IP_PKTINFO, pktinfo);
      AddControl(&msg, IPPROTO_IP, IP_TOS, tos);
      if (ttl != 0) AddControl(&msg, IPPROTO_IP, IP_TTL, ttl);
    }
  }

  uint32_t SendBatch(int32_t *list, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) Prepare(static_cast<int>(i), list + i * kTxWords);
    uint32_t sent = 0;
    /* An error that an ICMP message left on the socket is told to whichever packet is next: that one goes again. */
    bool again = true;
    for (uint32_t i = 0; i < n;) {
      int took = sendmmsg(fd_, msgs_ + i, n - i, MSG_DONTWAIT);
      if (took < 0) {
        if (errno == EINTR) continue;
        if (again && errno != EAGAIN && errno != ENOBUFS && errno != EMSGSIZE && errno != EINVAL) {
          again = false;
          continue;
        }
        list[i * kTxWords + 1] = -errno;
        took = 1;
      } else {
        sent += static_cast<uint32_t>(took);
      }
      again = true;
      i += static_cast<uint32_t>(took);
    }
    return sent;
  }

  int fd_ = -1;
  bool ipv6_ = false;
  uint8_t *arena_ = nullptr;
  size_t arena_size_ = 0;
  Poller poller_;
  mmsghdr msgs_[kBatch];
  iovec iov_[kBatch][2];
  union {
    sockaddr_in in4;
    sockaddr_in6 in6;
  } names_[kBatch];
  alignas(cmsghdr) char control_[kBatch][kControlSize];
};

/* A new TunnelSocket on the arena in the first argument, or an empty object with an exception pending. */
Napi::Object NewSocket(const Napi::CallbackInfo &info, const char *usage) {
  Napi::Object object = info.Env().GetInstanceData<InstanceData>()->tunnel_socket.New({});
  if (TunnelSocket::Unwrap(object)->SetArena(info[0])) return object;
  ThrowUsage(info.Env(), usage);
  return {};
}

}  // namespace

Napi::Function TunnelSocketClass(Napi::Env env) {
  return TunnelSocket::DefineClass(env, "TunnelSocket",
                                   {
                                       TunnelSocket::InstanceAccessor<&TunnelSocket::Fd>("fd"),
                                       TunnelSocket::InstanceMethod<&TunnelSocket::Receive>("receive"),
                                       TunnelSocket::InstanceMethod<&TunnelSocket::Send>("send"),
                                       TunnelSocket::InstanceMethod<&TunnelSocket::Poll>("poll"),
                                       TunnelSocket::InstanceMethod<&TunnelSocket::Close>("close"),
                                   });
}

Napi::Value OpenTunnelUdp(const Napi::CallbackInfo &info) {
  Napi::Object object = NewSocket(info, "openTunnelUdp(arena, ipv6, port, chooses, rcvbuf)");
  if (object.IsEmpty()) return info.Env().Undefined();
  int port = info[2].ToNumber().Int32Value();
  const char *failed = TunnelSocket::Unwrap(object)->OpenUdp(info[1].ToBoolean(), port, info[3].ToBoolean(),
                                                             info[4].ToNumber().Int32Value());
  if (failed != nullptr) return ThrowErrno(info.Env(), errno, failed, "UDP port " + std::to_string(port));
  return object;
}

Napi::Value OpenTunnelRaw(const Napi::CallbackInfo &info) {
  Napi::Object object = NewSocket(info, "openTunnelRaw(arena, ipv6, protocol, hears, dontFragment, rcvbuf)");
  if (object.IsEmpty()) return info.Env().Undefined();
  int protocol = info[2].ToNumber().Int32Value();
  const char *failed = TunnelSocket::Unwrap(object)->OpenRaw(info[1].ToBoolean(), protocol, info[3].ToBoolean(),
                                                             info[4].ToBoolean(), info[5].ToNumber().Int32Value());
  if (failed != nullptr) return ThrowErrno(info.Env(), errno, failed, "IP protocol " + std::to_string(protocol));
  return object;
}

/* tunnelSource(ipv6, words): connecting a datagram socket sends nothing, and looks up the route. */
Napi::Value TunnelSource(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  bool ipv6 = info[0].ToBoolean();
  Span<int32_t> words = WordsOf(env, info[1]);
  if (words.length < 4) return ThrowUsage(env, "tunnelSource(ipv6, words)");
  union {
    sockaddr any;
    sockaddr_in in4;
    sockaddr_in6 in6;
  } address = {};
  void *at = ipv6 ? static_cast<void *>(&address.in6.sin6_addr) : &address.in4.sin_addr;
  int n = ipv6 ? 4 : 1;
  uint32_t net[4];
  for (int w = 0; w < n; w++) net[w] = htonl(static_cast<uint32_t>(words.data[w]));
  memcpy(at, net, 4 * n);
  socklen_t size = ipv6 ? sizeof address.in6 : sizeof address.in4;
  address.any.sa_family = ipv6 ? AF_INET6 : AF_INET;
  /* Port 0 is refused by some kernels. */
  (ipv6 ? address.in6.sin6_port : address.in4.sin_port) = htons(9);

  int fd = socket(address.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return Napi::Number::New(env, -errno);
  bool ok = connect(fd, &address.any, size) == 0 && getsockname(fd, &address.any, &size) == 0;
  int error = errno;
  close(fd);
  if (!ok) return Napi::Number::New(env, -error);
  memcpy(net, at, 4 * n);
  for (int w = 0; w < n; w++) words.data[w] = static_cast<int32_t>(ntohl(net[w]));
  return Napi::Number::New(env, 0);
}

/* setDeviceUp(name, mtu) */
Napi::Value SetDeviceUp(const Napi::CallbackInfo &info) {
  std::string name = info[0].ToString();
  ifreq req = {};
  if (name.size() >= sizeof req.ifr_name) return ThrowUsage(info.Env(), "setDeviceUp(name, mtu)");
  memcpy(req.ifr_name, name.data(), name.size());
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return ThrowErrno(info.Env(), errno, "socket");
  req.ifr_mtu = info[1].ToNumber().Int32Value();
  bool ok = ioctl(fd, SIOCSIFMTU, &req) == 0 && ioctl(fd, SIOCGIFFLAGS, &req) == 0;
  if (ok) {
    req.ifr_flags |= IFF_UP;
    ok = ioctl(fd, SIOCSIFFLAGS, &req) == 0;
  }
  int error = errno;
  close(fd);
  if (!ok) return ThrowErrno(info.Env(), error, "ioctl", name);
  return info.Env().Undefined();
}
