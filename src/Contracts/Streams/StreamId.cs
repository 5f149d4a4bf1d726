using System.Globalization;

namespace KdServing.Contracts;

/// <summary>Id of a Redis stream entry: milliseconds of the server's clock and a running number within them.</summary>
public readonly record struct StreamId(long Ms, long Number) : IComparable<StreamId>
{
    /// <summary>Before every entry.</summary>
    public static StreamId Zero => default;

    /// <exception cref="FormatException">Not <c>ms-number</c>.</exception>
    public static StreamId Parse(string text) =>
        TryParse(text, out var id) ? id : throw new FormatException($"'{text}' is not a stream id such as 1510000000000-0");

    public static bool TryParse(string? text, out StreamId id)
    {
        var dash = text?.IndexOf('-', StringComparison.Ordinal) ?? -1;
        if (dash > 0
            && long.TryParse(text.AsSpan(0, dash), NumberStyles.None, CultureInfo.InvariantCulture, out var ms)
            && long.TryParse(text.AsSpan(dash + 1), NumberStyles.None, CultureInfo.InvariantCulture, out var number))
        {
            id = new(ms, number);
            return true;
        }
        id = default;
        return false;
    }

    public int CompareTo(StreamId other) => (Ms, Number).CompareTo((other.Ms, other.Number));

    public static bool operator <(StreamId a, StreamId b) => a.CompareTo(b) < 0;

    public static bool operator >(StreamId a, StreamId b) => a.CompareTo(b) > 0;

    public static bool operator <=(StreamId a, StreamId b) => a.CompareTo(b) <= 0;

    public static bool operator >=(StreamId a, StreamId b) => a.CompareTo(b) >= 0;

    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Ms}-{Number}");
}
