/*
 * Ports of the datapath: an AF_PACKET socket on an existing device, or a TAP.  Frames go straight into and out of the
 * arena, each with a struct virtio_net_hdr before it, so that partial checksums and super-packets pass through whole.
 * Source: packet(7), Documentation/networking/tuntap.rst, include/uapi/linux/{if_packet,if_tun,virtio_net}.h.
 */
#include <algorithm>
#include <cerrno>
#include <cstring>

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "addon.h"
#include "bytes.h"
#include "errno_error.h"
#include "packet_ring.h"
#include "poller.h"

namespace {

constexpr int kBatch = 64;
/* sizeof(struct virtio_net_hdr); <linux/virtio_net.h> itself is no C++. */
constexpr int kVnetHdrSize = 10;
/* Words of a row of `info`: RX_WORDS in src/native/index.ts. */
constexpr int kRxWords = 4;
/* Bounds of AwaitFrame(). */
constexpr uint32_t kMaxSpinUs = 1000;
constexpr int kLooks = 16;

/* TUN_F_USO4 | TUN_F_USO6, of Linux 6.2: headers of 6.1 lack them. */
constexpr unsigned kTunUso = 0x20 | 0x40;

uint64_t NowNs() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<uint64_t>(t.tv_sec) * 1000000000ull + static_cast<uint64_t>(t.tv_nsec);
}

/* Tells the processor that it is spinning, so that its other half gets more of it. */
void CpuRelax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

class Port : public Napi::ObjectWrap<Port> {
 public:
  explicit Port(const Napi::CallbackInfo &info) : Napi::ObjectWrap<Port>(info) {
    memset(in_, 0, sizeof in_);
    memset(out_, 0, sizeof out_);
    for (int i = 0; i < kBatch; i++) {
      in_[i].msg_hdr.msg_iov = &in_iov_[i];
      in_[i].msg_hdr.msg_iovlen = 1;
      in_[i].msg_hdr.msg_name = &in_from_[i];
      in_[i].msg_hdr.msg_control = in_control_[i];
      out_[i].msg_hdr.msg_iov = &out_iov_[i];
      out_[i].msg_hdr.msg_iovlen = 1;
    }
  }
  ~Port() override { CloseNow(); }

  /* `arena` is an object with the arena's ArrayBuffer in `buffer`; false if it is not. */
  bool SetArena(Napi::Value arena) {
    if (!arena.IsObject()) return false;
    Napi::Value buffer = arena.As<Napi::Object>().Get("buffer");
    if (!buffer.IsArrayBuffer()) return false;
    arena_ = static_cast<uint8_t *>(buffer.As<Napi::ArrayBuffer>().Data());
    arena_size_ = buffer.As<Napi::ArrayBuffer>().ByteLength();
    return true;
  }

  /* These three return the name of the call that failed, with errno set, or null. */
  const char *OpenPacket(int ifindex, bool promisc, int buffer_size, size_t ring_size) {
    ifindex_ = ifindex;
    /* Protocol 0 until it is bound, so that nothing from other devices gets in. */
    fd_ = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd_ < 0) return "socket";
    int one = 1;
    if (setsockopt(fd_, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof one) < 0) return "setsockopt PACKET_VNET_HDR";
    if (setsockopt(fd_, SOL_PACKET, PACKET_AUXDATA, &one, sizeof one) < 0) return "setsockopt PACKET_AUXDATA";
    if (setsockopt(fd_, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof one) < 0) {
      return "setsockopt PACKET_IGNORE_OUTGOING";
    }
    if (buffer_size > 0) {
      SetBuffer(SO_RCVBUFFORCE, SO_RCVBUF, buffer_size);
      SetBuffer(SO_SNDBUFFORCE, SO_SNDBUF, buffer_size);
    }
    if (promisc) {
      packet_mreq mreq{};
      mreq.mr_ifindex = ifindex;
      mreq.mr_type = PACKET_MR_PROMISC;
      if (setsockopt(fd_, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &mreq, sizeof mreq) < 0) {
        return "setsockopt PACKET_ADD_MEMBERSHIP";
      }
    }
    ring_.Open(fd_, ring_size);
    sockaddr_ll sa{};
    sa.sll_family = AF_PACKET;
    sa.sll_protocol = htons(ETH_P_ALL);
    sa.sll_ifindex = ifindex;
    return bind(fd_, reinterpret_cast<sockaddr *>(&sa), sizeof sa) < 0 ? "bind" : nullptr;
  }

  /* Hears nothing. */
  const char *OpenSender(int ifindex, int priority, int buffer_size) {
    ifindex_ = ifindex;
    fd_ = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd_ < 0) return "socket";
    int one = 1;
    if (setsockopt(fd_, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof one) < 0) return "setsockopt PACKET_VNET_HDR";
    if (setsockopt(fd_, SOL_SOCKET, SO_PRIORITY, &priority, sizeof priority) < 0) return "setsockopt SO_PRIORITY";
    if (buffer_size > 0) SetBuffer(SO_SNDBUFFORCE, SO_SNDBUF, buffer_size);
    sockaddr_ll sa{};
    sa.sll_family = AF_PACKET;
    sa.sll_ifindex = ifindex;
    return bind(fd_, reinterpret_cast<sockaddr *>(&sa), sizeof sa) < 0 ? "bind" : nullptr;
  }

  const char *OpenTap(const std::string &name, bool persistent) {
    tap_ = true;
    fd_ = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (fd_ < 0) return "open /dev/net/tun";
    ifreq ifr{};
    /* EXCL: never take over a persistent TAP that somebody else made, unless that is what is wanted. */
    ifr.ifr_flags = static_cast<short>(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | (persistent ? 0 : IFF_TUN_EXCL));
    if (name.size() >= sizeof ifr.ifr_name) {
      errno = ENAMETOOLONG;
      return "ioctl TUNSETIFF";
    }
    memcpy(ifr.ifr_name, name.data(), name.size());
    if (ioctl(fd_, TUNSETIFF, &ifr) < 0) return "ioctl TUNSETIFF";
    name_ = std::string(ifr.ifr_name, strnlen(ifr.ifr_name, sizeof ifr.ifr_name));
    int size = kVnetHdrSize;
    if (ioctl(fd_, TUNSETVNETHDRSZ, &size) < 0) return "ioctl TUNSETVNETHDRSZ";
    unsigned offload = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
    if (ioctl(fd_, TUNSETOFFLOAD, offload | kTunUso) < 0 && ioctl(fd_, TUNSETOFFLOAD, offload) < 0) {
      return "ioctl TUNSETOFFLOAD";
    }
    if (persistent && ioctl(fd_, TUNSETPERSIST, 1) < 0) return "ioctl TUNSETPERSIST";
    ifindex_ = static_cast<int>(if_nametoindex(name_.c_str()));
    return ifindex_ == 0 ? "if_nametoindex" : nullptr;
  }

  Napi::Value Fd(const Napi::CallbackInfo &info) { return Napi::Number::New(info.Env(), fd_); }
  Napi::Value Name(const Napi::CallbackInfo &info) { return Napi::String::New(info.Env(), name_); }
  Napi::Value Ifindex(const Napi::CallbackInfo &info) { return Napi::Number::New(info.Env(), ifindex_); }

  Napi::Value Receive(const Napi::CallbackInfo &info) {
    Napi::Env env = info.Env();
    double base = Num(env, info[0]);
    size_t stride = U32(env, info[1]);
    uint32_t max = std::min<uint32_t>(U32(env, info[2]), kBatch);
    Span<int32_t> words = WordsOf(env, info[3]);
    if (words.data == nullptr || max > words.length / kRxWords || base < 0 || stride <= kVnetHdrSize ||
        base + static_cast<double>(stride) * (max - 1.0) + kVnetHdrSize > static_cast<double>(arena_size_)) {
      return Napi::Number::New(env, -EINVAL);
    }
    size_t at = static_cast<size_t>(base);
    for (uint32_t i = 0; i < max; i++, at += stride) {
      in_iov_[i].iov_base = arena_ + at;
      in_iov_[i].iov_len = std::min(stride, arena_size_ - at);
    }
    int n = tap_            ? ReadTap(max, words.data)
            : ring_.is_open() ? ring_.Receive(in_iov_, max, words.data)
                              : ReceivePacket(max, words.data);
    return Napi::Number::New(env, n);
  }

  Napi::Value Send(const Napi::CallbackInfo &info) {
    Napi::Env env = info.Env();
    Span<int32_t> list = WordsOf(env, info[0]);
    uint32_t n = U32(env, info[1]);
    if (list.data == nullptr || n > list.length / 2) return Napi::Number::New(env, -EINVAL);
    uint32_t sent = 0;
    for (uint32_t i = 0; i < n; i += kBatch) sent += SendBatch(list.data + 2 * i, std::min<uint32_t>(n - i, kBatch));
    return Napi::Number::New(env, sent);
  }

  Napi::Value Lost(const Napi::CallbackInfo &info) {
    tpacket_stats stats{};
    socklen_t size = sizeof stats;
    /* Reading resets the kernel's count. */
    if (!tap_ && getsockopt(fd_, SOL_PACKET, PACKET_STATISTICS, &stats, &size) == 0) lost_ += stats.tp_drops;
    return Napi::Number::New(info.Env(), static_cast<double>(lost_));
  }

  /* Arguments: microseconds, and another port or nothing. */
  Napi::Value AwaitFrame(const Napi::CallbackInfo &info) {
    uint32_t max_us = std::min<uint32_t>(U32(info.Env(), info[0]), kMaxSpinUs);
    Port *other = info[1].IsObject() ? Port::Unwrap(info[1].As<Napi::Object>()) : nullptr;
    uint64_t end = NowNs() + max_us * 1000ull;
    int found = 0;
    do {
      /* A look at a ring costs less than one at the clock. */
      for (int i = 0; i < kLooks && found == 0; i++) {
        if (HasFrame()) found = 1;
        else if (other != nullptr && other->HasFrame()) found = 2;
        else CpuRelax();
      }
    } while (found == 0 && NowNs() < end);
    return Napi::Number::New(info.Env(), found);
  }

  Napi::Value Poll(const Napi::CallbackInfo &info) {
    Napi::Env env = info.Env();
    if (!info[0].IsFunction()) {
      poller_.Stop();
      return env.Undefined();
    }
    if (fd_ < 0) return ThrowErrno(env, EBADF, "poll");
    int error = poller_.Start(env, fd_, info.This().As<Napi::Object>(), info[0].As<Napi::Function>());
    return error == 0 ? env.Undefined() : ThrowErrno(env, -error, "uv_poll_start");
  }

  /* Argument: whether the device of a persistent TAP goes as well. */
  Napi::Value Close(const Napi::CallbackInfo &info) {
    if (tap_ && fd_ >= 0 && info[0].ToBoolean()) ioctl(fd_, TUNSETPERSIST, 0);
    CloseNow();
    return info.Env().Undefined();
  }

 private:
  void CloseNow() {
    poller_.Close();
    ring_.Close();
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }

  bool HasFrame() const {
    if (fd_ < 0) return false;
    if (ring_.is_open()) return ring_.has_frame();
    pollfd p = {fd_, POLLIN, 0};
    return poll(&p, 1, 0) > 0;
  }

  void SetBuffer(int force, int option, int size) {
    if (setsockopt(fd_, SOL_SOCKET, force, &size, sizeof size) < 0) {
      setsockopt(fd_, SOL_SOCKET, option, &size, sizeof size);
    }
  }

  int ReceivePacket(uint32_t max, int32_t *info) {
    for (uint32_t i = 0; i < max; i++) {
      in_[i].msg_hdr.msg_namelen = sizeof in_from_[i];
      in_[i].msg_hdr.msg_controllen = sizeof in_control_[i];
    }
    int n;
    do {
      n = recvmmsg(fd_, in_, max, MSG_DONTWAIT, nullptr);
      /* EINVAL is one packet whose offloads this kernel cannot put into a virtio_net_hdr; it has been dropped. */
    } while (n < 0 && (errno == EINTR || errno == EINVAL));
    if (n < 0) return errno == EAGAIN ? 0 : -errno;
    for (int i = 0; i < n; i++, info += kRxWords) {
      const msghdr &msg = in_[i].msg_hdr;
      info[0] = (msg.msg_flags & MSG_TRUNC) != 0 ? 0 : static_cast<int32_t>(in_[i].msg_len);
      info[1] = -1;
      info[2] = 0;
      info[3] = in_from_[i].sll_pkttype;
      for (cmsghdr *c = CMSG_FIRSTHDR(&msg); c != nullptr; c = CMSG_NXTHDR(const_cast<msghdr *>(&msg), c)) {
        if (c->cmsg_level != SOL_PACKET || c->cmsg_type != PACKET_AUXDATA) continue;
        tpacket_auxdata aux;
        memcpy(&aux, CMSG_DATA(c), sizeof aux);
        if ((aux.tp_status & TP_STATUS_VLAN_VALID) == 0) break;
        info[1] = aux.tp_vlan_tci;
        info[2] = (aux.tp_status & TP_STATUS_VLAN_TPID_VALID) != 0 ? aux.tp_vlan_tpid : ETH_P_8021Q;
      }
    }
    return n;
  }

  int ReadTap(uint32_t max, int32_t *info) {
    uint32_t n = 0;
    while (n < max) {
      ssize_t size = read(fd_, in_iov_[n].iov_base, in_iov_[n].iov_len);
      if (size < 0) {
        if (errno == EINTR) continue;
        if (errno == EAGAIN || n > 0) break;
        return -errno;
      }
      /* A read that fills the space may have been cut short: the TAP does not tell. */
      info[0] = static_cast<size_t>(size) >= in_iov_[n].iov_len ? 0 : static_cast<int32_t>(size);
      info[1] = -1;
      info[2] = info[3] = 0;
      info += kRxWords;
      n++;
    }
    return static_cast<int>(n);
  }

  /* Sends `n` <= kBatch frames; see send() in src/native/index.ts. */
  uint32_t SendBatch(int32_t *list, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
      size_t offset = static_cast<uint32_t>(list[2 * i]);
      size_t size = static_cast<uint32_t>(list[2 * i + 1]);
      bool fits = offset <= arena_size_ && size <= arena_size_ - offset;
      out_iov_[i].iov_base = fits ? arena_ + offset : nullptr;
      /* Empty is refused by the kernel: EINVAL. */
      out_iov_[i].iov_len = fits ? size : 0;
    }
    uint32_t sent = 0;
    for (uint32_t i = 0; i < n;) {
      int took = tap_ ? WriteTap(i) : sendmmsg(fd_, out_ + i, n - i, MSG_DONTWAIT);
      if (took < 0) {
        if (errno == EINTR) continue;
        /* It stopped at one that fails; the next may be fine. */
        list[2 * i + 1] = -errno;
        took = 1;
      } else {
        sent += static_cast<uint32_t>(took);
      }
      i += static_cast<uint32_t>(took);
    }
    return sent;
  }

  int WriteTap(uint32_t i) { return write(fd_, out_iov_[i].iov_base, out_iov_[i].iov_len) < 0 ? -1 : 1; }

  int fd_ = -1;
  bool tap_ = false;
  int ifindex_ = 0;
  uint64_t lost_ = 0;
  std::string name_;
  uint8_t *arena_ = nullptr;
  size_t arena_size_ = 0;
  Poller poller_;
  /* Where the kernel gives none, recvmmsg does it. */
  PacketRing ring_;
  mmsghdr in_[kBatch], out_[kBatch];
  iovec in_iov_[kBatch], out_iov_[kBatch];
  sockaddr_ll in_from_[kBatch];
  alignas(cmsghdr) char in_control_[kBatch][CMSG_SPACE(sizeof(tpacket_auxdata))];
};

/* A new Port on the arena in the first argument, or an empty object with an exception pending. */
Napi::Object NewPort(const Napi::CallbackInfo &info, const char *usage) {
  Napi::Object object = info.Env().GetInstanceData<InstanceData>()->port.New({});
  if (Port::Unwrap(object)->SetArena(info[0])) return object;
  ThrowUsage(info.Env(), usage);
  return {};
}

}  // namespace

Napi::Function PortClass(Napi::Env env) {
  return Port::DefineClass(env, "Port",
                           {
                               Port::InstanceAccessor<&Port::Fd>("fd"),
                               Port::InstanceAccessor<&Port::Name>("name"),
                               Port::InstanceAccessor<&Port::Ifindex>("ifindex"),
                               Port::InstanceMethod<&Port::Receive>("receive"),
                               Port::InstanceMethod<&Port::Send>("send"),
                               Port::InstanceMethod<&Port::Lost>("lost"),
                               Port::InstanceMethod<&Port::AwaitFrame>("awaitFrame"),
                               Port::InstanceMethod<&Port::Poll>("poll"),
                               Port::InstanceMethod<&Port::Close>("close"),
                           });
}

Napi::Value OpenPacket(const Napi::CallbackInfo &info) {
  Napi::Object object = NewPort(info, "openPacket(arena, ifindex, promisc, rcvbuf, ring)");
  if (object.IsEmpty()) return info.Env().Undefined();
  int ifindex = info[1].ToNumber().Int32Value();
  const char *failed =
      Port::Unwrap(object)->OpenPacket(ifindex, info[2].ToBoolean(), info[3].ToNumber().Int32Value(), U32(info.Env(), info[4]));
  if (failed != nullptr) return ThrowErrno(info.Env(), errno, failed, "device " + std::to_string(ifindex));
  return object;
}

Napi::Value OpenPacketSender(const Napi::CallbackInfo &info) {
  Napi::Object object = NewPort(info, "openPacketSender(arena, ifindex, priority, sndbuf)");
  if (object.IsEmpty()) return info.Env().Undefined();
  int ifindex = info[1].ToNumber().Int32Value();
  const char *failed = Port::Unwrap(object)->OpenSender(ifindex, info[2].ToNumber().Int32Value(), info[3].ToNumber().Int32Value());
  if (failed != nullptr) return ThrowErrno(info.Env(), errno, failed, "device " + std::to_string(ifindex));
  return object;
}

Napi::Value OpenTap(const Napi::CallbackInfo &info) {
  Napi::Object object = NewPort(info, "openTap(arena, name, persistent)");
  if (object.IsEmpty()) return info.Env().Undefined();
  std::string name = info[1].ToString();
  const char *failed = Port::Unwrap(object)->OpenTap(name, info[2].ToBoolean());
  if (failed != nullptr) return ThrowErrno(info.Env(), errno, failed, name);
  return object;
}

Napi::Value CreateArena(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  double size = Num(env, info[0]);
  /* V8 allows no larger ArrayBuffer, and offsets into it are 32-bit words. */
  if (!(size >= 1 && size <= 4294967296.0)) return ThrowUsage(env, "createArena(size)");
  void *at = mmap(nullptr, static_cast<size_t>(size), PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED) return ThrowErrno(env, errno, "mmap");
  /* Never unmapped: ports keep plain pointers into it, and there is one a process. */
  Napi::Object arena = Napi::Object::New(env);
  arena.Set("buffer", Napi::ArrayBuffer::New(env, at, static_cast<size_t>(size)));
  return arena;
}
