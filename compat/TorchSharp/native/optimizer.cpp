// One call an optimiser step over all parameters. Contiguous float32 on the CPU takes one fused pass; everything else
// goes through ATen operators with the same arithmetic (PyTorch's torch/optim documentation states the formulas).
#include "kdtorch.h"
#include <cmath>

using kd::deref;
using kd::guarded;

namespace {
bool fused(std::initializer_list<const at::Tensor*> tensors) {
  for (auto tensor : tensors)
    if (tensor->scalar_type() != at::kFloat || !tensor->device().is_cpu() || !tensor->is_contiguous()) return false;
  return true;
}
}  // namespace

// grads[i] may be null: that parameter is left alone. max_squares is null unless amsgrad.
KD_EXPORT int kd_adam_step(void* const* params, void* const* grads, void* const* averages, void* const* squares, void* const* max_squares,
                           const int64_t* steps, int32_t count, double lr, double beta1, double beta2, double eps, double decay,
                           int32_t decoupled, int32_t maximize) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    for (int32_t i = 0; i < count; i++) {
      if (!grads[i]) continue;
      auto &p = deref(params[i]), &m = deref(averages[i]), &v = deref(squares[i]);
      auto g = deref(grads[i]);
      const double correction1 = 1 - std::pow(beta1, steps[i]), root2 = std::sqrt(1 - std::pow(beta2, steps[i]));
      const double size = lr / correction1;
      if (!max_squares && fused({&p, &g, &m, &v})) {
        auto P = p.data_ptr<float>(), M = m.data_ptr<float>(), V = v.data_ptr<float>();
        auto G = g.data_ptr<float>();
        const auto n = p.numel();
        const float sign = maximize ? -1.f : 1.f, coupled = decoupled ? 0.f : float(decay), shrink = decoupled ? float(1 - lr * decay) : 1.f;
        const float b1 = float(beta1), b2 = float(beta2), c1 = float(1 - beta1), c2 = float(1 - beta2), e = float(eps), s = float(size), inv = float(1 / root2);
#pragma GCC ivdep
        for (int64_t k = 0; k < n; k++) {
          const float w = P[k] * shrink, d = sign * G[k] + coupled * w;
          M[k] = b1 * M[k] + c1 * d;
          V[k] = b2 * V[k] + c2 * d * d;
          P[k] = w - s * M[k] / (std::sqrt(V[k]) * inv + e);
        }
        continue;
      }
      if (maximize) g = -g;
      if (decoupled) p.mul_(1 - lr * decay);
      else if (decay != 0) g = g.add(p, decay);
      m.mul_(beta1).add_(g, 1 - beta1);
      v.mul_(beta2).addcmul_(g, g, 1 - beta2);
      auto denominator = v;
      if (max_squares) {
        auto& x = deref(max_squares[i]);
        x.copy_(at::maximum(x, v));
        denominator = x;
      }
      p.addcdiv_(m, (denominator.sqrt() / root2).add_(eps), -size);
    }
  });
}

KD_EXPORT int kd_sgd_step(void* const* params, void* const* grads, void* const* momenta, const int64_t* steps, int32_t count, double lr,
                          double momentum, double dampening, double decay, int32_t nesterov, int32_t maximize) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    for (int32_t i = 0; i < count; i++) {
      if (!grads[i]) continue;
      auto& p = deref(params[i]);
      auto g = deref(grads[i]);
      if (maximize) g = -g;
      if (decay != 0) g = g.add(p, decay);
      if (momentum != 0) {
        auto& buffer = deref(momenta[i]);
        if (steps[i] <= 1) buffer.copy_(g);
        else buffer.mul_(momentum).add_(g, 1 - dampening);
        g = nesterov ? g.add(buffer, momentum) : buffer;
      }
      p.add_(g, -lr);
    }
  });
}

KD_EXPORT int kd_adagrad_step(void* const* params, void* const* grads, void* const* sums, const int64_t* steps, int32_t count, double lr,
                              double lr_decay, double decay, double eps) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    for (int32_t i = 0; i < count; i++) {
      if (!grads[i]) continue;
      auto &p = deref(params[i]), &sum = deref(sums[i]);
      auto g = deref(grads[i]);
      const double size = lr / (1 + (steps[i] - 1) * lr_decay);
      if (decay != 0) g = g.add(p, decay);
      sum.addcmul_(g, g, 1);
      p.addcdiv_(g, sum.sqrt().add_(eps), -size);
    }
  });
}

// Total norm over all gradients; scales them in place when it exceeds max_norm.
KD_EXPORT int kd_clip_grad_norm(void* const* params, int32_t count, double max_norm, double norm_type, double* total) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    std::vector<at::Tensor> grads, norms;
    for (int32_t i = 0; i < count; i++) {
      auto& grad = deref(params[i]).mutable_grad();
      if (!grad.defined()) continue;
      grads.push_back(grad);
      norms.push_back(grad.norm(norm_type));
    }
    if (grads.empty()) { *total = 0; return; }
    *total = at::stack(norms).norm(norm_type).item<double>();
    const double scale = max_norm / (*total + 1e-6);
    if (scale < 1) for (auto& grad : grads) grad.mul_(scale);
  });
}
