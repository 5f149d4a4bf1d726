// One entry point for every ATen operator: arguments are boxed and handed to libtorch's dispatcher, the same path that
// Python's torch.ops takes, so values, autograd and error messages are libtorch's own.
#include "kdtorch.h"
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/stack.h>
#include <optional>
#include <vector>

namespace {
struct Operator {
  c10::OperatorHandle handle;
  std::vector<c10::TypeKind> kinds;      // with optionals unwrapped
  std::vector<c10::TypeKind> elements;   // element kind of lists
};

c10::TypePtr unwrapped(const c10::TypePtr& type) {
  if (auto optional = type->cast<c10::OptionalType>()) return optional->getElementType();
  return type;
}

c10::IValue integer_list(const kd::Value& value) {
  auto data = static_cast<const int64_t*>(value.pointer);
  return c10::IValue(std::vector<int64_t>(data, data + value.count));
}

c10::IValue boxed(const kd::Value& value, c10::TypeKind kind, c10::TypeKind element) {
  switch (value.tag) {
    case kd::None: return c10::IValue();
    case kd::TensorTag: return c10::IValue(kd::deref(value.pointer));
    case kd::Int:
      if (kind == c10::TypeKind::FloatType) return c10::IValue(static_cast<double>(value.integer));
      if (kind == c10::TypeKind::ListType) return c10::IValue(std::vector<int64_t>{value.integer});
      return c10::IValue(value.integer);
    case kd::Double: return c10::IValue(value.real);
    case kd::Bool: return c10::IValue(value.integer != 0);
    case kd::IntList: return integer_list(value);
    case kd::DoubleList: {
      auto data = static_cast<const double*>(value.pointer);
      return c10::IValue(std::vector<double>(data, data + value.count));
    }
    case kd::TensorList: {
      auto data = static_cast<void* const*>(value.pointer);
      if (element == c10::TypeKind::OptionalType) {
        c10::List<c10::optional<at::Tensor>> list;
        for (int32_t i = 0; i < value.count; i++)
          list.push_back(data[i] ? c10::optional<at::Tensor>(kd::deref(data[i])) : c10::optional<at::Tensor>());
        return c10::IValue(list);
      }
      std::vector<at::Tensor> list;
      list.reserve(value.count);
      for (int32_t i = 0; i < value.count; i++) list.push_back(kd::deref(data[i]));
      return c10::IValue(list);
    }
    case kd::String: return c10::IValue(std::string(static_cast<const char*>(value.pointer), value.count));
    case kd::DeviceTag:
      return c10::IValue(c10::Device(static_cast<c10::DeviceType>(value.integer), static_cast<c10::DeviceIndex>(value.count)));
    default: throw std::invalid_argument("unknown argument tag");
  }
}

thread_local std::vector<kd::Value> results;

void tensor_result(const at::Tensor& tensor) {
  kd::Value value{};
  value.tag = tensor.defined() ? kd::TensorTag : kd::None;
  if (tensor.defined()) value.pointer = kd::adopt(tensor);
  results.push_back(value);
}

void unbox(const c10::IValue& item) {
  kd::Value value{};
  if (item.isTensor()) return tensor_result(item.toTensor());
  if (item.isTensorList()) {
    for (const auto& tensor : item.toTensorVector()) tensor_result(tensor);
    return;
  }
  if (item.isBool()) { value.tag = kd::Bool; value.integer = item.toBool(); }
  else if (item.isInt()) { value.tag = kd::Int; value.integer = item.toInt(); }
  else if (item.isDouble()) { value.tag = kd::Double; value.real = item.toDouble(); }
  else if (item.isNone()) { value.tag = kd::None; }
  else throw std::invalid_argument("operator returned a value of an unsupported kind: " + item.tagKind());
  results.push_back(value);
}
}  // namespace

KD_EXPORT int kd_operator(const char* name, const char* overload, void** out) {
  return kd::guarded([&] {
    auto handle = c10::Dispatcher::singleton().findSchemaOrThrow(name, overload);
    auto op = new Operator{handle, {}, {}};
    for (const auto& argument : handle.schema().arguments()) {
      auto type = unwrapped(argument.type());
      op->kinds.push_back(type->kind());
      auto list = type->cast<c10::ListType>();
      op->elements.push_back(list ? list->getElementType()->kind() : c10::TypeKind::NoneType);
    }
    *out = op;
  });
}

// Arguments beyond those given take the schema's defaults, so a newer libtorch with one more trailing argument still works.
KD_EXPORT int kd_call(const void* op_handle, const kd::Value* arguments, int32_t count, int32_t discard,
                      const kd::Value** out, int32_t* out_count) {
  return kd::guarded([&] {
    auto op = static_cast<const Operator*>(op_handle);
    const auto& declared = op->handle.schema().arguments();
    if (count > static_cast<int32_t>(declared.size())) throw std::invalid_argument("too many arguments for " + op->handle.schema().name());
    torch::jit::Stack stack;
    stack.reserve(declared.size());
    for (int32_t i = 0; i < count; i++) stack.push_back(boxed(arguments[i], op->kinds[i], op->elements[i]));
    for (size_t i = count; i < declared.size(); i++) {
      if (!declared[i].default_value()) throw std::invalid_argument(op->handle.schema().name() + ": missing argument " + declared[i].name());
      stack.push_back(*declared[i].default_value());
    }
    op->handle.callBoxed(&stack);
    results.clear();
    if (!discard) for (const auto& item : stack) unbox(item);
    *out = results.data();
    *out_count = static_cast<int32_t>(results.size());
  });
}
