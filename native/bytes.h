/* Typed arrays that JavaScript passes, as pointers; borrowed for the call only. */
#ifndef TAPSWITCH_BYTES_H
#define TAPSWITCH_BYTES_H

#include <cstdint>

#include <napi.h>

/* `data` is null if the value is no typed array of the wanted element type. */
template <typename T>
struct Span {
  T *data = nullptr;
  size_t length = 0;
};

template <typename T>
inline Span<T> SpanOf(Napi::Env env, napi_value value, napi_typedarray_type want) {
  napi_typedarray_type type;
  size_t length = 0;
  void *data = nullptr;
  if (napi_get_typedarray_info(env, value, &type, &length, &data, nullptr, nullptr) != napi_ok || type != want) return {};
  return {static_cast<T *>(data), length};
}

inline Span<uint8_t> BytesOf(Napi::Env env, napi_value v) { return SpanOf<uint8_t>(env, v, napi_uint8_array); }
inline Span<int32_t> WordsOf(Napi::Env env, napi_value v) { return SpanOf<int32_t>(env, v, napi_int32_array); }

/* A number argument; anything else reads as 0. */
inline uint32_t U32(Napi::Env env, napi_value v) {
  uint32_t n = 0;
  napi_get_value_uint32(env, v, &n);
  return n;
}
inline double Num(Napi::Env env, napi_value v) {
  double n = 0;
  napi_get_value_double(env, v, &n);
  return n;
}

#endif
