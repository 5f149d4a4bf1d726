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

/// <summary>α·(1 − σ(d))^γ·softplus(−d); pairs at the margin or beyond are left out.</summary>
internal readonly struct FocalPair(float gamma, float alpha, float margin) : IPairTerm
{
    // As in BinaryFocalLoss: beyond it the modulation no longer changes.
    private const float Epsilon = 1e-7f;

    public Vector<float> Value(Vector<float> student, Vector<float> teacher, Vector<float> more, out Vector<float> slope, out Vector<float> counts)
    {
        var e = Vector.Exp(-Vector.Abs(student));
        var sum = Vector<float>.One + e;
        var loss = Vector.Max(-student, Vector<float>.Zero) + Vector.Log(sum);
        var exact = Vector.ConditionalSelect(Vector.GreaterThan(student, Vector<float>.Zero), e, Vector<float>.One) / sum;
        var wrong = Vector.Max(exact, new Vector<float>(Epsilon));
        var modulation = (gamma == 2 ? wrong * wrong : Vector.Exp(Vector.Log(wrong) * gamma)) * alpha;
        // dloss = −(1 − σ); d(1 − σ)^γ = −γ·(1 − σ)^γ·σ where it still changes.
        var change = Vector.ConditionalSelect(Vector.GreaterThan(exact, new Vector<float>(Epsilon)), modulation * (Vector<float>.One - exact) * gamma, Vector<float>.Zero);
        var near = Vector.BitwiseAnd(Vector.LessThan(student, new Vector<float>(margin)), Vector.GreaterThan(modulation, Vector<float>.Zero));
        counts = Vector.ConditionalSelect(near, Vector<float>.One, Vector<float>.Zero);
        slope = Vector.ConditionalSelect(near, -(change * loss + modulation * exact), Vector<float>.Zero);
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
