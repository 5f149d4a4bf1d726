using TorchSharp.Interop;
using TorchSharp.Modules;

namespace TorchSharp;

public static partial class torch
{
    public static partial class nn
    {
        public static partial class utils
        {
            /// <summary>Scales all gradients in place so that their joint norm is at most <paramref name="max_norm"/>; gives the norm before.</summary>
            public static unsafe double clip_grad_norm_(IEnumerable<Parameter> tensors, double max_norm, double norm_type = 2.0)
            {
                var parameters = tensors.ToArray();
                var handles = Array.ConvertAll(parameters, p => p.Handle);
                double total;
                fixed (nint* p = handles)
                    NativeMethods.Check(NativeMethods.kd_clip_grad_norm(p, handles.Length, max_norm, norm_type, out total));
                GC.KeepAlive(parameters);
                return total;
            }

            /// <summary>Limits every element of every gradient to ±<paramref name="clip_value"/>, in place.</summary>
            public static void clip_grad_value_(IEnumerable<Parameter> tensors, double clip_value)
            {
                foreach (var parameter in tensors)
                {
                    using var grad = parameter.grad;
                    grad?.clamp_(-clip_value, clip_value);
                }
            }
        }
    }
}
