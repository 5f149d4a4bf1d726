using KdServing.Contracts;

namespace KdServing.Serving.Accelerators;

/// <summary>Where the tensors of a run of some size lie in one block of inputs and one of outputs; a block is copied in one go.</summary>
internal sealed class DeviceLayout
{
    /// <summary>Users a run has room for: a tower of one row is as long a wait as one of 32.</summary>
    public const int Users = 32;

    // What cudaMalloc itself keeps to.
    private const int Alignment = 256;

    /// <summary>Candidates a run may have room for, ascending. More go in several runs.</summary>
    private static readonly int[] Capacities = [128, 256, 512, 1024, 1536, 2048, 3072, 4096, 6144, 8192];

    private DeviceLayout(DeviceGraph graph, StudentSignature signature, int capacity)
    {
        Capacity = capacity;
        var segments = graph.Segments;
        SegmentOffsets = new long[segments.Count];
        var next = 0L;
        for (var s = 0; s < segments.Count; s++)
            SegmentOffsets[s] = Take(ref next, sizeof(float) * (long)segments[s].Units * capacity);
        RowOfOffset = Take(ref next, sizeof(long) * (long)capacity);
        UserOffset = Take(ref next, sizeof(float) * (long)Users * signature.UserWidth);
        if (graph.VectorWidth > 0)
            AddressesOffset = Take(ref next, sizeof(long) * (long)capacity);
        InputBytes = next;
        VectorsOffset = Take(ref next, sizeof(float) * (long)graph.VectorWidth * capacity);
        DeviceInputBytes = next;
        var results = sizeof(float) * (long)capacity * signature.Targets.Count;
        next = 0;
        Take(ref next, results);
        ScoresOffset = Take(ref next, results);
        OutputBytes = next;
    }

    /// <summary>Candidates.</summary>
    public int Capacity { get; }

    /// <summary>Of each segment in the inputs, bytes.</summary>
    public long[] SegmentOffsets { get; }

    /// <summary>int64 [capacity].</summary>
    public long RowOfOffset { get; }

    /// <summary>float32 [<see cref="Users"/>, user width].</summary>
    public long UserOffset { get; }

    /// <summary>Addresses of item vectors, int64 [capacity].</summary>
    public long AddressesOffset { get; }

    /// <summary>Bytes that are copied to the device.</summary>
    public long InputBytes { get; }

    /// <summary>Item vectors, float32 [capacity, width], gathered on the device behind what is copied.</summary>
    public long VectorsOffset { get; }

    /// <summary>Bytes of all inputs on the device.</summary>
    public long DeviceInputBytes { get; }

    /// <summary>Logits begin the outputs, scores follow here.</summary>
    public long ScoresOffset { get; }

    public long OutputBytes { get; }

    /// <summary>One of each size.</summary>
    public static IReadOnlyList<DeviceLayout> All(DeviceGraph graph, StudentSignature signature) =>
        [.. Capacities.Select(c => new DeviceLayout(graph, signature, c))];

    private static long Take(ref long next, long bytes)
    {
        var offset = next;
        next = (next + bytes + Alignment - 1) / Alignment * Alignment;
        return offset;
    }
}
