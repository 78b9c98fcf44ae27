/*
 * Waits in the event loop for a file descriptor to become readable, and calls a JavaScript function then.
 *
 * libuv's handle must outlive the call to uv_close() until the loop has called back, so it lives in an allocation of its
 * own (`Handle`) that frees itself there.  An environment that ends (a worker thread, or exit) closes its handles too.
 */
#ifndef TAPSWITCH_POLLER_H
#define TAPSWITCH_POLLER_H

#include <napi.h>

class Poller {
 public:
  ~Poller() { Close(); }

  /* Calls `callback` with `receiver` as `this` whenever `fd` is readable.  Returns 0 or -errno. */
  int Start(Napi::Env env, int fd, Napi::Object receiver, Napi::Function callback);
  /* Stops calling; Start() may follow. */
  void Stop();
  /* Whether a started poll keeps the process alive. */
  void SetRef(bool on);
  /* Stops for good.  The descriptor may be closed right after. */
  void Close();

 private:
  struct Handle;
  Handle *handle_ = nullptr;
  bool ref_ = true;
};

#endif
