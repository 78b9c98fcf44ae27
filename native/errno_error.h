/*
 * Errors of system calls as JavaScript sees them: an Error with `errno` (positive), `code` ("EADDRINUSE") and
 * `syscall`, as Node's own have.  Used by the functions that open, bind and configure; those on the packet path return
 * -errno instead.
 */
#ifndef TAPSWITCH_ERRNO_ERROR_H
#define TAPSWITCH_ERRNO_ERROR_H

#include <cstring>
#include <string>

#include <napi.h>

/* Throws for `error` (positive) of `syscall`; `what` says on which object.  Returns undefined, to be returned. */
inline Napi::Value ThrowErrno(Napi::Env env, int error, const char *syscall, const std::string &what = "") {
  const char *code = strerrorname_np(error);
  std::string message = std::string(syscall) + (what.empty() ? "" : " " + what) + ": " + strerror(error);
  Napi::Error e = Napi::Error::New(env, message);
  e.Set("errno", Napi::Number::New(env, error));
  e.Set("code", Napi::String::New(env, code != nullptr ? code : "E" + std::to_string(error)));
  e.Set("syscall", Napi::String::New(env, syscall));
  e.ThrowAsJavaScriptException();
  return env.Undefined();
}

/* Throws a TypeError: an argument that is not what src/native/index.ts declares. */
inline Napi::Value ThrowUsage(Napi::Env env, const char *usage) {
  Napi::TypeError::New(env, std::string("usage: ") + usage).ThrowAsJavaScriptException();
  return env.Undefined();
}

#endif
