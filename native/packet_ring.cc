/*
 * Frames of ordinary size lie in the ring whole.  A larger one (a super-packet of up to 64 KB) would waste such space in
 * every place, so the kernel puts only its beginning there and queues the whole on the socket: TP_STATUS_COPY.
 *
 * Frames are copied out at once.  For some 60 to 1500 bytes that costs less than places that stay taken until a packet has
 * been sent, and everything above sees one kind of memory.
 */
#include "packet_ring.h"

#include <cerrno>
#include <cstring>

#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <sys/mman.h>
#include <sys/socket.h>

namespace {

constexpr size_t kVnetHdrSize = 10;
/*
 * Header, link-layer address, virtio_net_hdr and 1524 bytes of frame: 1500 of payload, Ethernet header and a VLAN tag.  An odd
 * number of cache lines, so that the beginnings of frames spread over the whole cache.
 */
constexpr uint32_t kFrameSize = 25 * 64;
constexpr uint32_t kBlockSize = 64 << 10;
constexpr uint32_t kFramesPerBlock = kBlockSize / kFrameSize;

}  // namespace

bool PacketRing::Open(int fd, size_t size) {
  uint32_t n_blocks = static_cast<uint32_t>(size / kBlockSize);
  int version = TPACKET_V2, on = 1;
  tpacket_req req{};
  req.tp_block_size = kBlockSize;
  req.tp_block_nr = n_blocks;
  req.tp_frame_size = kFrameSize;
  req.tp_frame_nr = n_blocks * kFramesPerBlock;
  if (setsockopt(fd, SOL_PACKET, PACKET_VERSION, &version, sizeof version) < 0 ||
      setsockopt(fd, SOL_PACKET, PACKET_COPY_THRESH, &on, sizeof on) < 0 ||
      setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &req, sizeof req) < 0) {
    return false;
  }
  void *at = mmap(nullptr, n_blocks * kBlockSize, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (at == MAP_FAILED) {
    /* Without its ring the socket is as it was. */
    req = {};
    setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &req, sizeof req);
    return false;
  }
  memory_ = static_cast<uint8_t *>(at);
  size_ = n_blocks * kBlockSize;
  n_frames_ = req.tp_frame_nr;
  fd_ = fd;
  return true;
}

void PacketRing::Close() {
  if (memory_ != nullptr) munmap(memory_, size_);
  memory_ = nullptr;
}

uint8_t *PacketRing::FrameAt(uint32_t i) const {
  return memory_ + static_cast<size_t>(i / kFramesPerBlock) * kBlockSize + (i % kFramesPerBlock) * kFrameSize;
}

bool PacketRing::has_frame() const {
  auto *hdr = reinterpret_cast<tpacket2_hdr *>(FrameAt(next_));
  return (__atomic_load_n(&hdr->tp_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER) != 0;
}

int PacketRing::Receive(const iovec *to, uint32_t max, int32_t *info) {
  uint32_t n = 0;
  uint8_t *frame = FrameAt(next_);
  for (; n < max; n++, info += 4) {
    auto *hdr = reinterpret_cast<tpacket2_hdr *>(frame);
    uint32_t status = __atomic_load_n(&hdr->tp_status, __ATOMIC_ACQUIRE);
    if ((status & TP_STATUS_USER) == 0) break;
    next_ = next_ + 1 == n_frames_ ? 0 : next_ + 1;
    uint8_t *following = FrameAt(next_);
    __builtin_prefetch(following);
    __builtin_prefetch(following + 64);

    ssize_t size = 0;
    if ((status & TP_STATUS_COPY) != 0) {
      size = recv(fd_, to[n].iov_base, to[n].iov_len, MSG_DONTWAIT | MSG_TRUNC);
    } else if (hdr->tp_len == hdr->tp_snaplen) {
      /* Otherwise it is a large one for whose whole the socket's buffer had no room. */
      size = static_cast<ssize_t>(kVnetHdrSize + hdr->tp_snaplen);
      if (static_cast<size_t>(size) <= to[n].iov_len) {
        memcpy(to[n].iov_base, frame + hdr->tp_mac - kVnetHdrSize, static_cast<size_t>(size));
      }
    }
    info[0] = size < 0 || static_cast<size_t>(size) > to[n].iov_len ? 0 : static_cast<int32_t>(size);
    bool tagged = (status & TP_STATUS_VLAN_VALID) != 0;
    info[1] = tagged ? hdr->tp_vlan_tci : -1;
    info[2] = !tagged ? 0 : (status & TP_STATUS_VLAN_TPID_VALID) != 0 ? hdr->tp_vlan_tpid : ETH_P_8021Q;
    info[3] = reinterpret_cast<sockaddr_ll *>(frame + TPACKET_ALIGN(sizeof *hdr))->sll_pkttype;
    __atomic_store_n(&hdr->tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
    frame = following;
  }
  if (n > 0) return static_cast<int>(n);
  /* A wake-up for nothing may be one for an error; recv() would tell too, but could take a packet that came meanwhile. */
  int error = 0;
  socklen_t size = sizeof error;
  if (getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &size) < 0) return -errno;
  return -error;
}
