/*
 * Netlink sockets: non-blocking, in batches of up to 64 datagrams.
 * Source: netlink(7), recvmmsg(2), include/uapi/linux/netlink.h.
 */
#include <algorithm>
#include <cerrno>
#include <cstring>

#include <linux/netlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include "addon.h"
#include "bytes.h"
#include "errno_error.h"
#include "poller.h"

namespace {

constexpr int kBatch = 64;

/*
 * The port id that a multicast is addressed to.  Such a send also goes to one port id, and 0 would be the kernel's genl
 * code.  Nobody is bound to this one (-1 is no process and out of the range that the kernel chooses from).
 */
constexpr uint32_t kNobody = 0xffffffff;

class NetlinkSocket : public Napi::ObjectWrap<NetlinkSocket> {
 public:
  explicit NetlinkSocket(const Napi::CallbackInfo &info) : Napi::ObjectWrap<NetlinkSocket>(info) {
    for (int i = 0; i < kBatch; i++) {
      memset(&in_[i], 0, sizeof in_[i]);
      in_[i].msg_hdr.msg_iov = &in_iov_[i];
      in_[i].msg_hdr.msg_iovlen = 1;
      in_[i].msg_hdr.msg_name = &in_from_[i];
      memset(&out_[i], 0, sizeof out_[i]);
      out_[i].msg_hdr.msg_iov = &out_iov_[i];
      out_[i].msg_hdr.msg_iovlen = 1;
      out_[i].msg_hdr.msg_name = &out_to_[i];
      out_[i].msg_hdr.msg_namelen = sizeof out_to_[i];
      memset(&out_to_[i], 0, sizeof out_to_[i]);
      out_to_[i].nl_family = AF_NETLINK;
    }
  }
  ~NetlinkSocket() override { CloseNow(); }

  /* Opens and binds; returns the name of the call that failed, with errno set, or null. */
  const char *Open(int protocol, uint32_t port_id, int rcvbuf) {
    fd_ = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);
    if (fd_ < 0) return "socket";
    if (rcvbuf > 0 && setsockopt(fd_, SOL_SOCKET, SO_RCVBUFFORCE, &rcvbuf, sizeof rcvbuf) < 0) {
      /* Only CAP_NET_ADMIN of the first user namespace may force it; others get up to net.core.rmem_max. */
      setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &rcvbuf, sizeof rcvbuf);
    }
    int one = 1;
    /* Errors come with the kernel's words where it has some; kernels before 4.12 have none. */
    setsockopt(fd_, SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof one);
    sockaddr_nl sa{};
    sa.nl_family = AF_NETLINK;
    sa.nl_pid = port_id;
    if (bind(fd_, reinterpret_cast<sockaddr *>(&sa), sizeof sa) < 0) return "bind";
    socklen_t len = sizeof sa;
    if (getsockname(fd_, reinterpret_cast<sockaddr *>(&sa), &len) < 0) return "getsockname";
    port_id_ = sa.nl_pid;
    return nullptr;
  }

  Napi::Value PortId(const Napi::CallbackInfo &info) { return Napi::Number::New(info.Env(), port_id_); }
  Napi::Value Fd(const Napi::CallbackInfo &info) { return Napi::Number::New(info.Env(), fd_); }

  Napi::Value Send(const Napi::CallbackInfo &info) {
    return Napi::Number::New(info.Env(), SendOne(info));
  }

  Napi::Value SendMany(const Napi::CallbackInfo &info) {
    Napi::Env env = info.Env();
    Span<uint8_t> buffer = BytesOf(env, info[0]);
    Span<int32_t> list = WordsOf(env, info[1]);
    uint32_t n = U32(env, info[2]);
    if (buffer.data == nullptr || list.data == nullptr || n > list.length / 3) return Napi::Number::New(env, -EINVAL);
    uint32_t sent = 0;
    for (uint32_t i = 0; i < n; i += kBatch) {
      sent += SendBatch(buffer, list.data + 3 * i, std::min<uint32_t>(n - i, kBatch));
    }
    return Napi::Number::New(env, sent);
  }

  Napi::Value Receive(const Napi::CallbackInfo &info) {
    return Napi::Number::New(info.Env(), ReceiveBatch(info));
  }

  Napi::Value JoinGroup(const Napi::CallbackInfo &info) { return Membership(info, NETLINK_ADD_MEMBERSHIP); }
  Napi::Value LeaveGroup(const Napi::CallbackInfo &info) { return Membership(info, NETLINK_DROP_MEMBERSHIP); }

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

  Napi::Value SetRef(const Napi::CallbackInfo &info) {
    poller_.SetRef(info[0].ToBoolean());
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

  Napi::Value Membership(const Napi::CallbackInfo &info, int option) {
    int group = info[0].ToNumber().Int32Value();
    if (setsockopt(fd_, SOL_NETLINK, option, &group, sizeof group) < 0) {
      return ThrowErrno(info.Env(), errno, "setsockopt", "netlink group " + std::to_string(group));
    }
    return info.Env().Undefined();
  }

  int SendOne(const Napi::CallbackInfo &info) {
    Napi::Env env = info.Env();
    Span<uint8_t> buffer = BytesOf(env, info[0]);
    size_t offset = U32(env, info[1]);
    size_t size = U32(env, info[2]);
    uint32_t port_id = U32(env, info[3]);
    uint32_t group = U32(env, info[4]);
    if (buffer.data == nullptr || offset > buffer.length || size > buffer.length - offset || group > 32) return -EINVAL;
    sockaddr_nl to{};
    to.nl_family = AF_NETLINK;
    to.nl_pid = group != 0 ? kNobody : port_id;
    to.nl_groups = group != 0 ? 1u << (group - 1) : 0;
    ssize_t n;
    do {
      n = sendto(fd_, buffer.data + offset, size, MSG_DONTWAIT, reinterpret_cast<sockaddr *>(&to), sizeof to);
    } while (n < 0 && errno == EINTR);
    if (n >= 0) return static_cast<int>(n);
    /* The group got it; that nobody is at kNobody is as it should be. */
    if (group != 0 && errno == ECONNREFUSED) return static_cast<int>(size);
    return -errno;
  }

  /* Sends `n` <= kBatch datagrams; see sendMany() in src/native/index.ts.  Returns how many went out. */
  uint32_t SendBatch(Span<uint8_t> buffer, int32_t *list, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
      size_t offset = static_cast<uint32_t>(list[3 * i]);
      size_t size = static_cast<uint32_t>(list[3 * i + 1]);
      bool fits = offset <= buffer.length && size <= buffer.length - offset;
      out_iov_[i].iov_base = fits ? buffer.data + offset : nullptr;
      out_iov_[i].iov_len = fits ? size : 0;
      out_to_[i].nl_pid = static_cast<uint32_t>(list[3 * i + 2]);
    }
    uint32_t sent = 0;
    for (uint32_t i = 0; i < n;) {
      int took = sendmmsg(fd_, out_ + i, n - i, MSG_DONTWAIT);
      if (took < 0) {
        if (errno == EINTR) continue;
        /* sendmmsg() stops at the first that fails; the ones after it may be for other sockets, so go on. */
        list[3 * i + 2] = -errno;
        i++;
        continue;
      }
      for (int k = 0; k < took; k++, i++) list[3 * i + 2] = static_cast<int32_t>(out_[i].msg_len);
      sent += took;
    }
    return sent;
  }

  int ReceiveBatch(const Napi::CallbackInfo &info) {
    Napi::Env env = info.Env();
    Span<uint8_t> buffer = BytesOf(env, info[0]);
    size_t stride = U32(env, info[1]);
    uint32_t max = std::min<uint32_t>(U32(env, info[2]), kBatch);
    Span<int32_t> words = WordsOf(env, info[3]);
    if (buffer.data == nullptr || words.data == nullptr || stride == 0 || max > buffer.length / stride ||
        max > words.length / 2) {
      return -EINVAL;
    }
    for (uint32_t i = 0; i < max; i++) {
      in_iov_[i].iov_base = buffer.data + i * stride;
      in_iov_[i].iov_len = stride;
      in_[i].msg_hdr.msg_namelen = sizeof in_from_[i];
    }
    int n;
    do {
      /* MSG_TRUNC: each length is the datagram's own, also when it is longer than the space for it. */
      n = recvmmsg(fd_, in_, max, MSG_DONTWAIT | MSG_TRUNC, nullptr);
    } while (n < 0 && errno == EINTR);
    if (n < 0) return -errno;
    for (int i = 0; i < n; i++) {
      words.data[2 * i] = static_cast<int32_t>(in_[i].msg_len);
      words.data[2 * i + 1] = static_cast<int32_t>(in_from_[i].nl_pid);
    }
    return n;
  }

  int fd_ = -1;
  uint32_t port_id_ = 0;
  Poller poller_;
  mmsghdr in_[kBatch], out_[kBatch];
  iovec in_iov_[kBatch], out_iov_[kBatch];
  sockaddr_nl in_from_[kBatch], out_to_[kBatch];
};

}  // namespace

Napi::Function NetlinkSocketClass(Napi::Env env) {
  using S = NetlinkSocket;
  return S::DefineClass(env, "NetlinkSocket",
                        {
                            S::InstanceAccessor<&S::PortId>("portId"),
                            S::InstanceAccessor<&S::Fd>("fd"),
                            S::InstanceMethod<&S::Send>("send"),
                            S::InstanceMethod<&S::SendMany>("sendMany"),
                            S::InstanceMethod<&S::Receive>("receive"),
                            S::InstanceMethod<&S::JoinGroup>("joinGroup"),
                            S::InstanceMethod<&S::LeaveGroup>("leaveGroup"),
                            S::InstanceMethod<&S::Poll>("poll"),
                            S::InstanceMethod<&S::SetRef>("setRef"),
                            S::InstanceMethod<&S::Close>("close"),
                        });
}

Napi::Value OpenNetlink(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  if (!info[0].IsNumber() || !info[1].IsNumber() || !info[2].IsNumber()) {
    return ThrowUsage(env, "openNetlink(protocol, portId, rcvbuf)");
  }
  uint32_t port_id = U32(env, info[1]);
  Napi::Object object = env.GetInstanceData<InstanceData>()->netlink_socket.New({});
  NetlinkSocket *socket = NetlinkSocket::Unwrap(object);
  const char *failed =
      socket->Open(info[0].As<Napi::Number>().Int32Value(), port_id, info[2].As<Napi::Number>().Int32Value());
  if (failed != nullptr) return ThrowErrno(env, errno, failed, "netlink port id " + std::to_string(port_id));
  return object;
}
