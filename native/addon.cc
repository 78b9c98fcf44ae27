/*
 * The native addon's exports.  src/native/index.ts declares each one and says what it promises; the other files here are
 * one system interface each.
 */
#include "addon.h"

#include <cerrno>
#include <unistd.h>

#include "errno_error.h"

static Napi::Value CloseFd(const Napi::CallbackInfo &info) {
  if (!info[0].IsNumber()) return ThrowUsage(info.Env(), "closeFd(fd)");
  if (close(info[0].As<Napi::Number>().Int32Value()) < 0) return ThrowErrno(info.Env(), errno, "close");
  return info.Env().Undefined();
}

static Napi::Object Init(Napi::Env env, Napi::Object exports) {
  auto *data = new InstanceData();
  data->netlink_socket = Napi::Persistent(NetlinkSocketClass(env));
  data->port = Napi::Persistent(PortClass(env));
  data->tunnel_socket = Napi::Persistent(TunnelSocketClass(env));
  env.SetInstanceData(data);

  exports.Set("openNetlink", Napi::Function::New(env, OpenNetlink, "openNetlink"));
  exports.Set("createArena", Napi::Function::New(env, CreateArena, "createArena"));
  exports.Set("openPacket", Napi::Function::New(env, OpenPacket, "openPacket"));
  exports.Set("openPacketSender", Napi::Function::New(env, OpenPacketSender, "openPacketSender"));
  exports.Set("openTap", Napi::Function::New(env, OpenTap, "openTap"));
  exports.Set("openTunnelUdp", Napi::Function::New(env, OpenTunnelUdp, "openTunnelUdp"));
  exports.Set("openTunnelRaw", Napi::Function::New(env, OpenTunnelRaw, "openTunnelRaw"));
  exports.Set("tunnelSource", Napi::Function::New(env, TunnelSource, "tunnelSource"));
  exports.Set("deviceDriver", Napi::Function::New(env, DeviceDriver, "deviceDriver"));
  exports.Set("setDeviceUp", Napi::Function::New(env, SetDeviceUp, "setDeviceUp"));
  exports.Set("attachIngressDrop", Napi::Function::New(env, AttachIngressDrop, "attachIngressDrop"));
  exports.Set("loadIngressDrop", Napi::Function::New(env, LoadIngressDrop, "loadIngressDrop"));
  exports.Set("lockPidfile", Napi::Function::New(env, LockPidfile, "lockPidfile"));
  exports.Set("pidfileHolder", Napi::Function::New(env, PidfileHolder, "pidfileHolder"));
  exports.Set("becomeUser", Napi::Function::New(env, BecomeUser, "becomeUser"));
  exports.Set("lockMemory", Napi::Function::New(env, LockMemory, "lockMemory"));
  exports.Set("closeStandardFds", Napi::Function::New(env, CloseStandardFds, "closeStandardFds"));
  exports.Set("connectDatagram", Napi::Function::New(env, ConnectDatagram, "connectDatagram"));
  exports.Set("setDscp", Napi::Function::New(env, SetDscp, "setDscp"));
  exports.Set("closeFd", Napi::Function::New(env, CloseFd, "closeFd"));
  return exports;
}

NODE_API_MODULE(tapswitch, Init)
