/* Source: docs.libuv.org/en/v1.x/poll.html, nodejs.org/api/n-api.html. */
#include "poller.h"

#include <uv.h>

struct Poller::Handle {
  uv_poll_t poll;
  napi_env env = nullptr;
  Napi::FunctionReference callback;
  Napi::ObjectReference receiver;
  napi_async_context context = nullptr;
  napi_async_cleanup_hook_handle hook = nullptr;
  Poller *owner = nullptr;
  bool closing = false;

  static void OnReadable(uv_poll_t *poll, int status, int events);
  static void OnCleanup(napi_async_cleanup_hook_handle hook, void *arg);
  static void OnClosed(uv_handle_t *handle);
  void Close();
  void Forget();
};

void Poller::Handle::OnReadable(uv_poll_t *poll, int error, int) {
  /*
   * An error of the socket (ENOBUFS, ENETDOWN) comes with a negative status, and libuv has stopped the poll.  The receive
   * that follows says what it is, and clears it, so go on; a callback that knows better stops.
   */
  if (error < 0) uv_poll_start(poll, UV_READABLE, OnReadable);
  auto *self = static_cast<Handle *>(poll->data);
  Napi::Env env(self->env);
  Napi::HandleScope scope(env);
  if (self->callback.IsEmpty()) return;
  napi_value receiver = self->receiver.Value();
  napi_value callback = self->callback.Value();
  napi_status status = napi_make_callback(self->env, self->context, receiver, callback, 0, nullptr, nullptr);
  if (status == napi_pending_exception) {
    /* There is no JavaScript caller to get it: it becomes an uncaughtException. */
    napi_value error;
    if (napi_get_and_clear_last_exception(self->env, &error) == napi_ok) napi_fatal_exception(self->env, error);
  }
}

/* The environment ends before the handle was closed. */
void Poller::Handle::OnCleanup(napi_async_cleanup_hook_handle, void *arg) {
  auto *self = static_cast<Handle *>(arg);
  if (self->owner != nullptr) self->owner->handle_ = nullptr;
  self->Close();
}

void Poller::Handle::OnClosed(uv_handle_t *handle) {
  auto *self = static_cast<Handle *>(handle->data);
  napi_remove_async_cleanup_hook(self->hook);
  delete self;
}

void Poller::Handle::Forget() {
  callback.Reset();
  receiver.Reset();
}

void Poller::Handle::Close() {
  if (closing) return;
  closing = true;
  owner = nullptr;
  Forget();
  if (context != nullptr) napi_async_destroy(env, context);
  context = nullptr;
  uv_close(reinterpret_cast<uv_handle_t *>(&poll), OnClosed);
}

int Poller::Start(Napi::Env env, int fd, Napi::Object receiver, Napi::Function callback) {
  if (handle_ == nullptr) {
    uv_loop_t *loop = nullptr;
    if (napi_get_uv_event_loop(env, &loop) != napi_ok) return UV_EINVAL;
    auto *h = new Handle();
    int error = uv_poll_init(loop, &h->poll, fd);
    if (error != 0) {
      delete h;
      return error;
    }
    h->poll.data = h;
    h->env = env;
    h->owner = this;
    napi_async_init(env, nullptr, Napi::String::New(env, "tapswitch"), &h->context);
    napi_add_async_cleanup_hook(env, Handle::OnCleanup, h, &h->hook);
    handle_ = h;
    SetRef(ref_);
  }
  handle_->callback = Napi::Persistent(callback);
  handle_->receiver = Napi::Persistent(receiver);
  return uv_poll_start(&handle_->poll, UV_READABLE, Handle::OnReadable);
}

void Poller::Stop() {
  if (handle_ == nullptr) return;
  uv_poll_stop(&handle_->poll);
  handle_->Forget();
}

void Poller::SetRef(bool on) {
  ref_ = on;
  if (handle_ == nullptr) return;
  auto *h = reinterpret_cast<uv_handle_t *>(&handle_->poll);
  if (on) {
    uv_ref(h);
  } else {
    uv_unref(h);
  }
}

void Poller::Close() {
  if (handle_ != nullptr) handle_->Close();
  handle_ = nullptr;
}
