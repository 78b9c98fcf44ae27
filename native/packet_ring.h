/*
 * The receive ring of an AF_PACKET socket: memory that the kernel writes frames into and that this process reads without a
 * system call.  Neighbour: packet_port.cc, which owns the socket.
 * Source: Documentation/networking/packet_mmap.rst, include/uapi/linux/if_packet.h (TPACKET_V2).
 */
#ifndef TAPSWITCH_PACKET_RING_H_
#define TAPSWITCH_PACKET_RING_H_

#include <cstddef>
#include <cstdint>

#include <sys/uio.h>

class PacketRing {
 public:
  ~PacketRing() { Close(); }

  /*
   * Makes a ring of `size` bytes, rounded down to blocks, on socket `fd`, which has PACKET_VNET_HDR and is not bound yet.
   * False where the kernel has none to give.
   */
  bool Open(int fd, size_t size);
  bool is_open() const { return memory_ != nullptr; }
  /* Whether there is something to receive; of an open ring. */
  bool has_frame() const;

  /*
   * Copies up to `max` frames, each behind its virtio_net_hdr, to `to`, and gives their places in the ring back.  `info` is
   * as Port.receive() in src/native/index.ts has it.  Returns how many, or -errno for an error that the socket had to tell.
   */
  int Receive(const iovec *to, uint32_t max, int32_t *info);
  /* Before the socket is closed. */
  void Close();

 private:
  uint8_t *FrameAt(uint32_t i) const;

  int fd_ = -1;
  uint8_t *memory_ = nullptr;
  size_t size_ = 0;
  uint32_t n_frames_ = 0;
  uint32_t next_ = 0;
};

#endif
