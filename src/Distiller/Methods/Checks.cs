using KdServing.Contracts;

namespace KdServing.Distiller.Methods;

/// <summary>Refuses numbers that a preset's parameter can not have; each names the field, the value and what is valid.</summary>
internal static class Checks
{
    private const int WidthMax = 4096;
    private const int LayersMax = 8;

    public static void NotNegative(double value, string field) => Require(value >= 0 && double.IsFinite(value), field, value, "0 or more");

    public static void Positive(double value, string field) => Require(value > 0 && double.IsFinite(value), field, value, "above 0");

    public static void Fraction(double value, string field) => Require(value is >= 0 and <= 1, field, value, "from 0 to 1");

    public static void Steps(long value, string field) => Require(value >= 0, field, value, "0 or more");

    public static void Widths(IReadOnlyList<int> widths, string field)
    {
        Require(widths.Count <= LayersMax, field, $"a list of {widths.Count}", $"{LayersMax} widths at most");
        for (var i = 0; i < widths.Count; i++)
            Require(widths[i] is >= 1 and <= WidthMax, $"{field}[{i}]", widths[i], $"from 1 to {WidthMax}");
    }

    private static void Require(bool holds, string field, object value, string rule)
    {
        if (!holds)
            throw new ContractException(field, FormattableString.Invariant($"is {value}; must be {rule}"));
    }
}
