using KdServing.Contracts;

namespace KdServing.Serving.Accelerators;

/// <summary>Neighbouring features of a group that reach a device as one tensor: numbers of table rows, or floats.</summary>
/// <param name="Name">Of the graph's input.</param>
/// <param name="FirstColumn">Of <see cref="Kernels.CandidateColumns"/>.</param>
/// <param name="Columns">Features.</param>
/// <param name="TableWidth">Rows: floats of each feature's table row. Floats: 0.</param>
/// <param name="Width">Floats a candidate, once rows are looked up.</param>
internal sealed record DeviceSegment(string Name, int FirstColumn, int Columns, int TableWidth, int Width)
{
    public bool IsRows => TableWidth > 0;

    /// <summary>4-byte units a candidate.</summary>
    public int Units => IsRows ? Columns : Width;

    /// <summary>A group's segments, in the order of its vector.</summary>
    /// <param name="firstColumn">Of the group's first feature.</param>
    public static IReadOnlyList<DeviceSegment> Of(FeatureGroup group, int firstColumn)
    {
        var segments = new List<DeviceSegment>();
        for (var k = 0; k < group.Features.Count; k++)
        {
            var feature = group.Features[k];
            var tableWidth = feature.Kind is FeatureKind.Hash or FeatureKind.Vocabulary ? feature.Width : 0;
            if (segments.Count > 0 && segments[^1] is { } last && last.TableWidth == tableWidth)
                segments[^1] = last with { Columns = last.Columns + 1, Width = last.Width + feature.Width };
            else
                segments.Add(new($"{group.Name}/{segments.Count}", firstColumn + k, 1, tableWidth, feature.Width));
        }
        return segments;
    }
}
