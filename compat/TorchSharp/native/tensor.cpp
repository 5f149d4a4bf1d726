// What the dispatcher does not know: handles, metadata, memory, autograd, threads, devices.
#include "kdtorch.h"
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/autograd.h>
#include <atomic>
#include <cstring>

// Null where libtorch computes with another library.
extern "C" void openblas_set_num_threads(int) __attribute__((weak));

namespace kd {
thread_local std::string last_error;
static std::atomic<int64_t> live{0};

int fail(const char* message) noexcept {
  try { last_error = message; } catch (...) { last_error.clear(); }
  return 1;
}

at::Tensor* adopt(at::Tensor tensor) {
  auto handle = new at::Tensor(std::move(tensor));
  live.fetch_add(1, std::memory_order_relaxed);
  return handle;
}
}  // namespace kd

using kd::adopt;
using kd::deref;
using kd::guarded;

KD_EXPORT const char* kd_last_error() { return kd::last_error.c_str(); }
KD_EXPORT int64_t kd_live_tensors() { return kd::live.load(); }
KD_EXPORT const char* kd_libtorch_version() { return TORCH_VERSION; }

KD_EXPORT void kd_tensor_free(void* handle) {
  if (!handle) return;
  delete static_cast<at::Tensor*>(handle);
  kd::live.fetch_sub(1, std::memory_order_relaxed);
}

KD_EXPORT int kd_tensor_alias(const void* handle, void** out) {
  return guarded([&] { *out = adopt(deref(handle)); });
}

// shape and strides may be null; they hold at least `capacity` elements.
KD_EXPORT int32_t kd_tensor_dim(const void* handle) { return static_cast<int32_t>(deref(handle).dim()); }
KD_EXPORT int64_t kd_tensor_numel(const void* handle) { return deref(handle).numel(); }
KD_EXPORT int32_t kd_tensor_dtype(const void* handle) { return static_cast<int32_t>(deref(handle).scalar_type()); }
KD_EXPORT int32_t kd_tensor_element_size(const void* handle) { return static_cast<int32_t>(deref(handle).element_size()); }
KD_EXPORT void kd_tensor_device(const void* handle, int32_t* type, int32_t* index) {
  auto device = deref(handle).device();
  *type = static_cast<int32_t>(device.type());
  *index = device.index();
}
KD_EXPORT int kd_tensor_sizes(const void* handle, int64_t* shape, int64_t* strides) {
  return guarded([&] {
    const auto& tensor = deref(handle);
    auto bytes = tensor.dim() * sizeof(int64_t);
    if (shape) std::memcpy(shape, tensor.sizes().data(), bytes);
    if (strides) std::memcpy(strides, tensor.strides().data(), bytes);
  });
}
KD_EXPORT int kd_tensor_data(const void* handle, void** out) { return guarded([&] { *out = deref(handle).data_ptr(); }); }
KD_EXPORT int64_t kd_tensor_storage_offset(const void* handle) { return deref(handle).storage_offset(); }
KD_EXPORT int32_t kd_tensor_is_contiguous(const void* handle) { return deref(handle).is_contiguous(); }
KD_EXPORT int32_t kd_tensor_is_leaf(const void* handle) { return deref(handle).is_leaf(); }
KD_EXPORT int32_t kd_tensor_is_sparse(const void* handle) { return deref(handle).is_sparse(); }
KD_EXPORT int32_t kd_tensor_requires_grad(const void* handle) { return deref(handle).requires_grad(); }
KD_EXPORT int kd_tensor_set_requires_grad(const void* handle, int32_t on) {
  return guarded([&] { deref(handle).set_requires_grad(on != 0); });
}
KD_EXPORT int kd_tensor_retain_grad(const void* handle) { return guarded([&] { deref(handle).retain_grad(); }); }
KD_EXPORT int kd_tensor_grad(const void* handle, void** out) {
  return guarded([&] {
    const auto& grad = deref(handle).grad();
    *out = grad.defined() ? adopt(grad) : nullptr;
  });
}
KD_EXPORT int kd_tensor_set_grad(const void* handle, const void* grad) {
  return guarded([&] { deref(handle).mutable_grad() = grad ? deref(grad) : at::Tensor(); });
}
KD_EXPORT int kd_tensor_set_data(const void* handle, const void* source) {
  return guarded([&] { deref(handle).set_data(deref(source)); });
}

// A tensor over a copy of `bytes` bytes of host memory, on the CPU.
KD_EXPORT int kd_tensor_from_host(const void* data, int64_t bytes, const int64_t* shape, int32_t dim, int32_t dtype, void** out) {
  return guarded([&] {
    auto tensor = at::empty(at::IntArrayRef(shape, dim), at::TensorOptions().dtype(static_cast<at::ScalarType>(dtype)));
    if (static_cast<int64_t>(tensor.nbytes()) != bytes) throw std::invalid_argument("the number of elements does not match the shape");
    if (bytes) std::memcpy(tensor.data_ptr(), data, bytes);
    *out = adopt(std::move(tensor));
  });
}

// A tensor over memory that the caller keeps alive until `release(context)` is called.
KD_EXPORT int kd_tensor_from_blob(void* data, const int64_t* shape, int32_t dim, int32_t dtype, void (*release)(void*), void* context, void** out) {
  return guarded([&] {
    auto options = at::TensorOptions().dtype(static_cast<at::ScalarType>(dtype));
    *out = adopt(at::from_blob(data, at::IntArrayRef(shape, dim), [release, context](void*) { if (release) release(context); }, options));
  });
}

KD_EXPORT int kd_backward(void* const* tensors, int32_t count, void* const* gradients, int32_t retain, int32_t create, void* const* inputs, int32_t input_count) {
  return guarded([&] {
    torch::autograd::variable_list roots, grads, leaves;
    for (int32_t i = 0; i < count; i++) roots.push_back(deref(tensors[i]));
    if (gradients) for (int32_t i = 0; i < count; i++) grads.push_back(gradients[i] ? deref(gradients[i]) : at::Tensor());
    for (int32_t i = 0; i < input_count; i++) leaves.push_back(deref(inputs[i]));
    torch::autograd::backward(roots, grads, retain != 0, create != 0, leaves);
  });
}

// `out` holds `input_count` places; an input that takes no part leaves null (only with allow_unused).
KD_EXPORT int kd_grad(void* const* outputs, int32_t output_count, void* const* inputs, int32_t input_count, void* const* gradients,
                      int32_t retain, int32_t create, int32_t allow_unused, void** out) {
  return guarded([&] {
    torch::autograd::variable_list roots, leaves, grads;
    for (int32_t i = 0; i < output_count; i++) roots.push_back(deref(outputs[i]));
    for (int32_t i = 0; i < input_count; i++) leaves.push_back(deref(inputs[i]));
    if (gradients) for (int32_t i = 0; i < output_count; i++) grads.push_back(gradients[i] ? deref(gradients[i]) : at::Tensor());
    auto result = torch::autograd::grad(roots, leaves, grads, retain != 0, create != 0, allow_unused != 0);
    for (int32_t i = 0; i < input_count; i++) out[i] = result[i].defined() ? adopt(result[i]) : nullptr;
  });
}

KD_EXPORT int32_t kd_grad_enabled() { return c10::GradMode::is_enabled(); }
KD_EXPORT void kd_set_grad_enabled(int32_t on) { c10::GradMode::set_enabled(on != 0); }
KD_EXPORT int kd_manual_seed(int64_t seed) { return guarded([&] { at::manual_seed(static_cast<uint64_t>(seed)); }); }
KD_EXPORT int kd_set_num_threads(int32_t count) {
  return guarded([&] {
    at::set_num_threads(count);
    // libtorch passes the count on to MKL, which the real package brings; Debian's OpenBLAS keeps threads of its own, and two
    // of them spinning over a small product cost more than the product (64 wide, 1,632 rows: 135 us instead of 12).
    if (openblas_set_num_threads) openblas_set_num_threads(count);
  });
}
KD_EXPORT int32_t kd_get_num_threads() { return at::get_num_threads(); }
KD_EXPORT int kd_set_num_interop_threads(int32_t count) { return guarded([&] { at::set_num_interop_threads(count); }); }
KD_EXPORT int32_t kd_get_num_interop_threads() { return at::get_num_interop_threads(); }
KD_EXPORT int32_t kd_cuda_device_count() {
  int32_t count = 0;
  guarded([&] { count = static_cast<int32_t>(torch::cuda::device_count()); });
  return count;
}
KD_EXPORT int kd_cuda_synchronize(int64_t device) { return guarded([&] { torch::cuda::synchronize(device); }); }
