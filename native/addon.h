/* What the addon's files give each other. */
#ifndef TAPSWITCH_ADDON_H
#define TAPSWITCH_ADDON_H

#include <napi.h>

/* One environment's share of the addon: the constructors of its classes.  Source: nodejs.org/api/n-api.html. */
struct InstanceData {
  Napi::FunctionReference netlink_socket;
  Napi::FunctionReference port;
  Napi::FunctionReference tunnel_socket;
};

Napi::Value OpenNetlink(const Napi::CallbackInfo &info);
Napi::Value CreateArena(const Napi::CallbackInfo &info);
Napi::Value OpenPacket(const Napi::CallbackInfo &info);
Napi::Value OpenPacketSender(const Napi::CallbackInfo &info);
Napi::Value DeviceDriver(const Napi::CallbackInfo &info);
Napi::Value OpenTap(const Napi::CallbackInfo &info);
Napi::Value OpenTunnelUdp(const Napi::CallbackInfo &info);
Napi::Value OpenTunnelRaw(const Napi::CallbackInfo &info);
Napi::Value TunnelSource(const Napi::CallbackInfo &info);
Napi::Value SetDeviceUp(const Napi::CallbackInfo &info);
Napi::Value AttachIngressDrop(const Napi::CallbackInfo &info);
Napi::Value LoadIngressDrop(const Napi::CallbackInfo &info);
Napi::Value LockPidfile(const Napi::CallbackInfo &info);
Napi::Value PidfileHolder(const Napi::CallbackInfo &info);
Napi::Value BecomeUser(const Napi::CallbackInfo &info);
Napi::Value LockMemory(const Napi::CallbackInfo &info);
Napi::Value CloseStandardFds(const Napi::CallbackInfo &info);
Napi::Value ConnectDatagram(const Napi::CallbackInfo &info);
Napi::Value SetDscp(const Napi::CallbackInfo &info);

Napi::Function NetlinkSocketClass(Napi::Env env);
Napi::Function PortClass(Napi::Env env);
Napi::Function TunnelSocketClass(Napi::Env env);

#endif
