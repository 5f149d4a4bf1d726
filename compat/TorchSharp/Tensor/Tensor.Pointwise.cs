using TorchSharp.Interop;

namespace TorchSharp;

public static partial class torch
{
    // Element by element, one operand.
    public partial class Tensor
    {
        public Tensor abs() => Aten.abs.Call(this);

        public Tensor abs_() => Aten.abs_.On(this);

        public Tensor ceil() => Aten.ceil.Call(this);

        public Tensor ceil_() => Aten.ceil_.On(this);

        public Tensor exp() => Aten.exp.Call(this);

        public Tensor exp_() => Aten.exp_.On(this);

        public Tensor expm1() => Aten.expm1.Call(this);

        public Tensor floor() => Aten.floor.Call(this);

        public Tensor floor_() => Aten.floor_.On(this);

        public Tensor log() => Aten.log.Call(this);

        public Tensor log_() => Aten.log_.On(this);

        public Tensor log10() => Aten.log10.Call(this);

        public Tensor log1p() => Aten.log1p.Call(this);

        public Tensor log2() => Aten.log2.Call(this);

        public Tensor neg() => Aten.neg.Call(this);

        public Tensor neg_() => Aten.neg_.On(this);

        public Tensor reciprocal() => Aten.reciprocal.Call(this);

        public Tensor reciprocal_() => Aten.reciprocal_.On(this);

        public Tensor round_() => Aten.round_.On(this);

        public Tensor rsqrt() => Aten.rsqrt.Call(this);

        public Tensor rsqrt_() => Aten.rsqrt_.On(this);

        public Tensor sign() => Aten.sign.Call(this);

        public Tensor sign_() => Aten.sign_.On(this);

        public Tensor sqrt() => Aten.sqrt.Call(this);

        public Tensor sqrt_() => Aten.sqrt_.On(this);

        public Tensor square() => Aten.square.Call(this);

        public Tensor trunc() => Aten.trunc.Call(this);

        public Tensor sin() => Aten.sin.Call(this);

        public Tensor cos() => Aten.cos.Call(this);

        public Tensor erf() => Aten.erf.Call(this);

        public Tensor frac() => Aten.frac.Call(this);

        public Tensor isnan() => Aten.isnan.Call(this);

        public Tensor isinf() => Aten.isinf.Call(this);

        public Tensor isfinite() => Aten.isfinite.Call(this);

        public Tensor sigmoid() => Aten.sigmoid.Call(this);

        public Tensor sigmoid_() => Aten.sigmoid_.Call(this);

        public Tensor tanh() => Aten.tanh.Call(this);

        public Tensor tanh_() => Aten.tanh_.On(this);

        public Tensor relu_() => Aten.relu_.Call(this);

        public Tensor silu() => Aten.silu.Call(this);

        public Tensor round(long decimals = 0L) => decimals == 0 ? Aten.round.Call(this) : Aten.round__decimals.Call(this, decimals);

        public Tensor negative() => neg();

        public Tensor nan_to_num(double? nan = null, double? posinf = null, double? neginf = null) => Aten.nan_to_num.Call(this, nan, posinf, neginf);

        /// <summary>Limits every element to [min, max]; a null bound is none.</summary>
        public Tensor clamp(Scalar? min = null, Scalar? max = null) => Aten.clamp.Call(this, min, max);

        public Tensor clamp(Tensor? min = null, Tensor? max = null) => Aten.clamp__Tensor.Call(this, min, max);

        public Tensor clamp_(Scalar? min = null, Scalar? max = null) => Aten.clamp_.On(this, min, max);

        public Tensor clip(Scalar? min = null, Scalar? max = null) => clamp(min, max);

        public Tensor clamp_min(Scalar min) => Aten.clamp.Call(this, min, Argument.None);

        public Tensor clamp_max(Scalar max) => Aten.clamp.Call(this, Argument.None, max);

        public Tensor pow(Tensor exponent) => Aten.pow__Tensor_Tensor.Call(this, exponent);

        public Tensor pow(Scalar exponent) => Aten.pow__Tensor_Scalar.Call(this, exponent);

        public Tensor pow_(Scalar exponent) => Aten.pow___Scalar.On(this, exponent);
    }
}
