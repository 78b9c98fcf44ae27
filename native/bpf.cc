/*
 * The one BPF program that is written here rather than in TypeScript: "drop everything", attached at a device's tc
 * ingress.  AF_PACKET sees a packet before tc does, so the host's stack loses what a port still gets.
 * Source: include/uapi/linux/bpf.h of Linux 6.6 (Debian 12's headers are 6.1 and lack TCX; the ABI is stable).
 */
#include <cerrno>
#include <cstring>

#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "addon.h"
#include "errno_error.h"

namespace {

/* enum bpf_attach_type: BPF_TCX_INGRESS. */
constexpr uint32_t kTcxIngress = 46;
/* TC_ACT_SHOT, which TCX calls TCX_DROP. */
constexpr int32_t kDrop = 2;

/* The head of union bpf_attr for BPF_LINK_CREATE; an older header's union has the same words under other names. */
struct LinkCreate {
  uint32_t prog_fd;
  uint32_t target_ifindex;
  uint32_t attach_type;
  uint32_t flags;
  uint32_t relative_fd;
  uint32_t pad;
  uint64_t expected_revision;
};

int Bpf(int command, void *attr, size_t size) {
  return static_cast<int>(syscall(SYS_bpf, command, attr, size));
}

/* Loads the program; returns its descriptor or -1 with errno set. */
int LoadDrop() {
  bpf_insn program[2]{};
  program[0].code = BPF_ALU64 | BPF_MOV | BPF_K;
  program[0].dst_reg = BPF_REG_0;
  program[0].imm = kDrop;
  program[1].code = BPF_JMP | BPF_EXIT;
  static const char license[] = "Apache-2.0";

  bpf_attr attr;
  memset(&attr, 0, sizeof attr);
  attr.prog_type = BPF_PROG_TYPE_SCHED_CLS;
  attr.insn_cnt = 2;
  attr.insns = reinterpret_cast<uint64_t>(program);
  attr.license = reinterpret_cast<uint64_t>(license);
  memcpy(attr.prog_name, "tapswitch_drop", sizeof "tapswitch_drop");
  return Bpf(BPF_PROG_LOAD, &attr, sizeof attr);
}

}  // namespace

Napi::Value LoadIngressDrop(const Napi::CallbackInfo &info) {
  int fd = LoadDrop();
  return fd < 0 ? ThrowErrno(info.Env(), errno, "bpf", "(load)") : Napi::Number::New(info.Env(), fd);
}

Napi::Value AttachIngressDrop(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  if (!info[0].IsNumber()) return ThrowUsage(env, "attachIngressDrop(ifindex)");
  int program = LoadDrop();
  if (program < 0) return ThrowErrno(env, errno, "bpf", "(load)");
  LinkCreate attr{};
  attr.prog_fd = static_cast<uint32_t>(program);
  attr.target_ifindex = info[0].As<Napi::Number>().Uint32Value();
  attr.attach_type = kTcxIngress;
  int link = Bpf(BPF_LINK_CREATE, &attr, sizeof attr);
  int error = errno;
  /* The link keeps the program. */
  close(program);
  return link < 0 ? ThrowErrno(env, error, "bpf", "(attach)") : Napi::Number::New(env, link);
}
