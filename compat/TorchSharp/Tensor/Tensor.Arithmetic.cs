using TorchSharp.Interop;

namespace TorchSharp;

public static partial class torch
{
    // Arithmetic of two operands; a trailing underscore works in place and returns the tensor itself.
    public partial class Tensor
    {
        public Tensor add(Tensor target) => Aten.add__Tensor.Call(this, target);

        public Tensor add(Tensor target, Scalar alpha) => Aten.add__Tensor.Call(this, target, alpha);

        public Tensor add(Scalar scalar) => Aten.add__Scalar.Call(this, scalar);

        public Tensor add(Scalar scalar, Scalar alpha) => Aten.add__Scalar.Call(this, scalar, alpha);

        public Tensor add_(Tensor target) => Aten.add___Tensor.On(this, target);

        public Tensor add_(Tensor target, Scalar alpha) => Aten.add___Tensor.On(this, target, alpha);

        public Tensor add_(Scalar scalar) => Aten.add___Scalar.On(this, scalar);

        public Tensor add_(Scalar scalar, Scalar alpha) => Aten.add___Scalar.On(this, scalar, alpha);

        public Tensor sub(Tensor target) => Aten.sub__Tensor.Call(this, target);

        public Tensor sub(Tensor target, Scalar alpha) => Aten.sub__Tensor.Call(this, target, alpha);

        public Tensor sub(Scalar scalar) => Aten.sub__Scalar.Call(this, scalar);

        public Tensor sub(Scalar scalar, Scalar alpha) => Aten.sub__Scalar.Call(this, scalar, alpha);

        public Tensor sub_(Tensor target) => Aten.sub___Tensor.On(this, target);

        public Tensor sub_(Tensor target, Scalar alpha) => Aten.sub___Tensor.On(this, target, alpha);

        public Tensor sub_(Scalar scalar) => Aten.sub___Scalar.On(this, scalar);

        public Tensor sub_(Scalar scalar, Scalar alpha) => Aten.sub___Scalar.On(this, scalar, alpha);

        public Tensor mul(Tensor target) => Aten.mul__Tensor.Call(this, target);

        public Tensor mul(Scalar scalar) => Aten.mul__Scalar.Call(this, scalar);

        public Tensor mul_(Tensor target) => Aten.mul___Tensor.On(this, target);

        public Tensor mul_(Scalar scalar) => Aten.mul___Scalar.On(this, scalar);

        public Tensor div(Tensor target, RoundingMode rounding_mode = RoundingMode.None) =>
            rounding_mode == RoundingMode.None ? Aten.div__Tensor.Call(this, target) : Aten.div__Tensor_mode.Call(this, target, rounding_mode.ToString());

        public Tensor div(Scalar target, RoundingMode rounding_mode = RoundingMode.None) =>
            rounding_mode == RoundingMode.None ? Aten.div__Scalar.Call(this, target) : Aten.div__Scalar_mode.Call(this, target, rounding_mode.ToString());

        public Tensor div_(Tensor target, RoundingMode rounding_mode = RoundingMode.None) =>
            rounding_mode == RoundingMode.None ? Aten.div___Tensor.On(this, target) : Aten.div___Tensor_mode.On(this, target, rounding_mode.ToString());

        public Tensor div_(Scalar target, RoundingMode rounding_mode = RoundingMode.None) =>
            rounding_mode == RoundingMode.None ? Aten.div___Scalar.On(this, target) : Aten.div___Scalar_mode.On(this, target, rounding_mode.ToString());

        public Tensor remainder(Tensor other) => Aten.remainder__Tensor.Call(this, other);

        public Tensor remainder(Scalar scalar) => Aten.remainder__Scalar.Call(this, scalar);

        public Tensor fmod(Tensor target) => Aten.fmod__Tensor.Call(this, target);

        public Tensor fmod(Scalar scalar) => Aten.fmod__Scalar.Call(this, scalar);

        /// <summary>this + value · tensor1 · tensor2.</summary>
        public Tensor addcmul(Tensor tensor1, Tensor tensor2, Scalar value) => Aten.addcmul.Call(this, tensor1, tensor2, value);

        public Tensor addcdiv(Tensor tensor1, Tensor tensor2) => Aten.addcdiv.Call(this, tensor1, tensor2);

        public Tensor addcdiv_(Tensor tensor1, Tensor tensor2) => Aten.addcdiv_.On(this, tensor1, tensor2);

        public Tensor addcmul_(Tensor tensor1, Tensor tensor2, Scalar value) => Aten.addcmul_.On(this, tensor1, tensor2, value);

        /// <summary>this + value · tensor1 / tensor2.</summary>
        public Tensor addcdiv(Tensor tensor1, Tensor tensor2, Scalar value) => Aten.addcdiv.Call(this, tensor1, tensor2, value);

        public Tensor addcdiv_(Tensor tensor1, Tensor tensor2, Scalar value) => Aten.addcdiv_.On(this, tensor1, tensor2, value);

        public Tensor lerp(Tensor end, Tensor weight) => Aten.lerp__Tensor.Call(this, end, weight);

        public Tensor lerp(Tensor end, Scalar weight) => Aten.lerp__Scalar.Call(this, end, weight);

        public Tensor maximum(Tensor other) => Aten.maximum.Call(this, other);

        public Tensor minimum(Tensor other) => Aten.minimum.Call(this, other);

        public Tensor logaddexp(Tensor other) => Aten.logaddexp.Call(this, other);
    }
}
