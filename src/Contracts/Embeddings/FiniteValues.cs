using System.Numerics;
using System.Runtime.InteropServices;

namespace KdServing.Contracts;

/// <summary>Looks for NaN and infinities: 32-bit floats whose exponent is all ones.</summary>
public static class FiniteValues
{
    private const uint Exponent = 0x7F80_0000;

    /// <summary>Index of the first value that is NaN or infinite; -1: all are finite.</summary>
    public static int IndexOfFault(ReadOnlySpan<float> values)
    {
        var bits = MemoryMarshal.Cast<float, uint>(values);
        var exponent = new Vector<uint>(Exponent);
        var i = 0;
        // Four at a time, looked at together: the values are nearly always good, and the loop then waits for memory only.
        for (; i <= bits.Length - 4 * Vector<uint>.Count; i += 4 * Vector<uint>.Count)
        {
            if ((Fault(bits, i) | Fault(bits, i + Vector<uint>.Count) | Fault(bits, i + 2 * Vector<uint>.Count) | Fault(bits, i + 3 * Vector<uint>.Count))
                != Vector<uint>.Zero)
                break;
        }
        for (; i < bits.Length; i++)
        {
            if ((bits[i] & Exponent) == Exponent)
                return i;
        }
        return -1;

        Vector<uint> Fault(ReadOnlySpan<uint> from, int at) => Vector.Equals(new Vector<uint>(from[at..]) & exponent, exponent);
    }
}
