using TorchSharp.Interop;

namespace TorchSharp;

public static partial class torch
{
    public partial class Tensor
    {
        public Tensor eq(Tensor target) => Aten.eq__Tensor.Call(this, target);

        public Tensor eq(Scalar target) => Aten.eq__Scalar.Call(this, target);

        public Tensor ne(Tensor target) => Aten.ne__Tensor.Call(this, target);

        public Tensor ne(Scalar target) => Aten.ne__Scalar.Call(this, target);

        public Tensor lt(Tensor target) => Aten.lt__Tensor.Call(this, target);

        public Tensor lt(Scalar target) => Aten.lt__Scalar.Call(this, target);

        public Tensor le(Tensor target) => Aten.le__Tensor.Call(this, target);

        public Tensor le(Scalar target) => Aten.le__Scalar.Call(this, target);

        public Tensor gt(Tensor target) => Aten.gt__Tensor.Call(this, target);

        public Tensor gt(Scalar target) => Aten.gt__Scalar.Call(this, target);

        public Tensor ge(Tensor target) => Aten.ge__Tensor.Call(this, target);

        public Tensor ge(Scalar target) => Aten.ge__Scalar.Call(this, target);

        public Tensor logical_and(Tensor other) => Aten.logical_and.Call(this, other);

        public Tensor logical_or(Tensor other) => Aten.logical_or.Call(this, other);

        public Tensor logical_xor(Tensor other) => Aten.logical_xor.Call(this, other);

        public Tensor bitwise_and(Tensor other) => Aten.bitwise_and__Tensor.Call(this, other);

        public Tensor bitwise_or(Tensor other) => Aten.bitwise_or__Tensor.Call(this, other);

        public Tensor bitwise_xor(Tensor other) => Aten.bitwise_xor__Tensor.Call(this, other);

        public Tensor bitwise_not() => Aten.bitwise_not.Call(this);

        public Tensor logical_not() => Aten.logical_not.Call(this);

        /// <summary>Same shape and same values.</summary>
        public bool equal(Tensor target) => Aten.equal.CallBool(this, target);

        public bool allclose(Tensor target, double rtol = 1e-05, double atol = 1e-08, bool equal_nan = false) => Aten.allclose.CallBool(this, target, rtol, atol, equal_nan);

        public Tensor isclose(Tensor other, double rtol = 1e-05, double atol = 1e-08, bool nanEqual = false) => Aten.isclose.Call(this, other, rtol, atol, nanEqual);

        /// <summary>This tensor where the condition holds, <paramref name="y"/> elsewhere.</summary>
        public Tensor where(Tensor condition, Tensor y) => Aten.where__self.Call(condition, this, y);

        /// <summary>Indices of the elements that are not zero, [count, dimensions].</summary>
        public Tensor nonzero() => Aten.nonzero.Call(this);
    }
}
