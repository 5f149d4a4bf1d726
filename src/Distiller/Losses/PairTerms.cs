using System.Numerics;

namespace KdServing.Distiller.Losses;

/// <summary>max(0, margin − d), the margin fixed or the teacher's; with exponent exp(·) − 1 of it.</summary>
internal readonly struct HingePair(float margin, bool useLabelMargin, bool useExponent) : IPairTerm
{
    // As in EasyRec: what float32 can hold of exp.
    private const float LargestExponent = 88;

    public Vector<float> Value(Vector<float> student, Vector<float> teacher, Vector<float> more, out Vector<float> slope, out Vector<float> counts)
    {
        counts = Vector<float>.One;
        var lag = (useLabelMargin ? teacher : new Vector<float>(margin)) - student;
        var behind = Vector.GreaterThan(lag, Vector<float>.Zero);
        if (!useExponent)
        {
            slope = Vector.ConditionalSelect(behind, -Vector<float>.One, Vector<float>.Zero);
            return Vector.Max(lag, Vector<float>.Zero);
        }
        var most = new Vector<float>(LargestExponent);
        var exp = Vector.Exp(Vector.Min(lag, most));
        slope = Vector.ConditionalSelect(Vector.BitwiseAnd(behind, Vector.LessThanOrEqual(lag, most)), -exp, Vector<float>.Zero);
        return Vector.ConditionalSelect(behind, exp - Vector<float>.One, Vector<float>.Zero);
    }
}

/// <summary>softplus(−m), m = d − margin, the margin fixed or the teacher's.</summary>
internal readonly struct LogisticPair(float margin, bool useLabelMargin) : IPairTerm
{
    public Vector<float> Value(Vector<float> student, Vector<float> teacher, Vector<float> more, out Vector<float> slope, out Vector<float> counts)
    {
        counts = Vector<float>.One;
        return SoftplusOfNegative(student - (useLabelMargin ? teacher : new Vector<float>(margin)), out slope);
    }

    /// <summary>softplus(−x), and its slope −σ(−x).</summary>
    internal static Vector<float> SoftplusOfNegative(Vector<float> x, out Vector<float> slope)
    {
        // e = exp(−|x|) neither overflows nor loses the small end: softplus(−x) = max(−x, 0) + log(1 + e).
        var e = Vector.Exp(-Vector.Abs(x));
        var sum = Vector<float>.One + e;
        slope = -Vector.ConditionalSelect(Vector.GreaterThan(x, Vector<float>.Zero), e, Vector<float>.One) / sum;
        return Vector.Max(-x, Vector<float>.Zero) + Vector.Log(sum);
    }
}

/// <summary>(1 − σ(d))^γ·softplus(−d), times α; pairs at the margin or beyond are left out.</summary>
internal readonly struct FocalPair(float gamma, float alpha, float margin) : IPairTerm
{
    // σ(d) is held this far from 0 and 1, as in BinaryFocalLoss: beyond it the modulation no longer changes.
    private const float Edge = 16;

    public Vector<float> Value(Vector<float> student, Vector<float> teacher, Vector<float> more, out Vector<float> slope, out Vector<float> counts)
    {
        var loss = LogisticPair.SoftplusOfNegative(student, out var lossSlope);
        // 1 − σ(d) = e^(−softplus(d)), and softplus(d) = softplus(−d) + d.
        var held = Vector.Max(Vector.Min(student, new Vector<float>(Edge)), new Vector<float>(-Edge));
        var modulation = Vector.Exp(-(LogisticPair.SoftplusOfNegative(held, out var heldSlope) + held) * gamma) * alpha;
        var isHeld = Vector.Equals(held, student);
        // d(1−p)^γ = −γ·(1−p)^γ·p, with p = 1 + heldSlope.
        var modulationSlope = Vector.ConditionalSelect(isHeld, -gamma * modulation * (Vector<float>.One + heldSlope), Vector<float>.Zero);
        var near = Vector.BitwiseAnd(Vector.LessThan(student, new Vector<float>(margin)), Vector.GreaterThan(modulation, Vector<float>.Zero));
        counts = Vector.ConditionalSelect(near, Vector<float>.One, Vector<float>.Zero);
        slope = Vector.ConditionalSelect(near, modulationSlope * loss + modulation * lossSlope, Vector<float>.Zero);
        return Vector.ConditionalSelect(near, modulation * loss, Vector<float>.Zero);
    }
}

/// <summary>|Δgain|·|Δdiscount|·softplus(−d): the teacher's difference is of gains, the further one of discounts.</summary>
internal readonly struct DiscountedPair : IPairTerm
{
    public Vector<float> Value(Vector<float> student, Vector<float> teacher, Vector<float> more, out Vector<float> slope, out Vector<float> counts)
    {
        counts = Vector<float>.One;
        var loss = LogisticPair.SoftplusOfNegative(student, out slope);
        var weight = Vector.Abs(teacher * more);
        slope *= weight;
        return weight * loss;
    }
}
