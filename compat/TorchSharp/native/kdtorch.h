// C interface between compat/TorchSharp and libtorch. Every function catches what libtorch throws and keeps the
// message for kd_last_error(); a non-zero return value says that one is waiting.
#pragma once
#include <torch/torch.h>
#include <cstdint>
#include <exception>
#include <string>

#define KD_EXPORT extern "C" __attribute__((visibility("default")))

namespace kd {
// How one argument or one result crosses the boundary; the C# mirror is Interop/NativeValue.cs.
enum Tag : int32_t { None = 0, TensorTag, Int, Double, Bool, IntList, TensorList, DoubleList, OptionalTensorList, String, DeviceTag };

struct Value {
  int32_t tag;
  int32_t count;          // lists: elements; device: index
  union {
    int64_t integer;
    double real;
    const void* pointer;
  };
};

extern thread_local std::string last_error;
int fail(const char* message) noexcept;

at::Tensor* adopt(at::Tensor tensor);  // counts a live handle
inline at::Tensor& deref(const void* handle) { return *static_cast<at::Tensor*>(const_cast<void*>(handle)); }

template <class F>
int guarded(F&& body) noexcept {
  try {
    body();
    return 0;
  } catch (const c10::Error& e) {
    return fail(e.what_without_backtrace());
  } catch (const std::exception& e) {
    return fail(e.what());
  } catch (...) {
    return fail("unknown native exception");
  }
}
}  // namespace kd
