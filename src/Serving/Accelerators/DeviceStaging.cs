using System.Numerics.Tensors;
using KdServing.Contracts;
using KdServing.Serving.Kernels;

namespace KdServing.Serving.Accelerators;

/// <summary>What one run takes to a device and brings back, in page-locked memory. One thread at a time.</summary>
internal sealed unsafe class DeviceStaging : IDisposable
{
    private readonly StudentSignature signature;
    private readonly DeviceMemory inputs;
    private readonly DeviceMemory outputs;
    private IReadOnlyList<DeviceSegment> segments = [];

    public DeviceStaging(Accelerator accelerator, StudentSignature signature)
    {
        this.signature = signature;
        inputs = new(accelerator, isOnHost: true);
        outputs = new(accelerator, isOnHost: true);
    }

    public nint Inputs => inputs.Address;

    public nint Outputs => outputs.Address;

    /// <summary>Which of a lane's programs it is for.</summary>
    public int Program { get; private set; }

    /// <summary>What it is filled for.</summary>
    public DeviceLayout Layout { get; private set; } = null!;

    /// <summary>Of the item vectors whose addresses it holds.</summary>
    public ItemVectorFormat Format { get; private set; }

    /// <summary>The device's turn is over.</summary>
    public ManualResetEventSlim Done { get; } = new();

    /// <summary>Why the device's turn failed.</summary>
    public AcceleratorException? Failure { get; set; }

    /// <summary>Begins a run.</summary>
    /// <param name="graph">Of the program.</param>
    public void Begin(int program, DeviceGraph graph, DeviceLayout layout)
    {
        Program = program;
        segments = graph.Segments;
        Layout = layout;
        inputs.Reserve(layout.InputBytes);
        outputs.Reserve(layout.OutputBytes);
        Failure = null;
        Done.Reset();
    }

    /// <param name="user">[user width].</param>
    public void AddUser(int user, ReadOnlySpan<float> vector) =>
        vector.CopyTo(new Span<float>((float*)(inputs.Address + (nint)Layout.UserOffset) + (nint)user * signature.UserWidth, signature.UserWidth));

    /// <summary>Candidates of one user.</summary>
    /// <param name="firstRows">Of each column's table in its arena.</param>
    /// <param name="from">First of them in the columns.</param>
    /// <param name="to">Place of the first one in the run.</param>
    public void AddCandidates(CandidateColumns columns, ReadOnlySpan<int> firstRows, int user, int from, int count, int to)
    {
        new Span<long>((long*)(inputs.Address + (nint)Layout.RowOfOffset) + to, count).Fill(user);
        for (var s = 0; s < segments.Count; s++)
        {
            var segment = segments[s];
            var place = inputs.Address + (nint)Layout.SegmentOffsets[s];
            var group = columns.All.Slice(segment.FirstColumn, segment.Columns);
            if (segment.IsRows)
            {
                for (var c = 0; c < group.Length; c++)
                    AddRows(group[c], firstRows[segment.FirstColumn + c], from, new((int*)place + (nint)c * Layout.Capacity + to, count));
            }
            else
                AddFloats(group, from, count, (float*)place + (nint)to * segment.Width, segment.Width);
        }
    }

    /// <summary>Addresses of the candidates' item vectors; places behind the last one read its vector too.</summary>
    public void AddVectors(ReadOnlySpan<nint> addresses, ItemVectorFormat format)
    {
        Format = format;
        var to = new Span<nint>((nint*)(inputs.Address + (nint)Layout.AddressesOffset), Layout.Capacity);
        addresses.CopyTo(to);
        to[addresses.Length..].Fill(addresses[^1]);
    }

    /// <summary>Fills the places behind the last candidate: they are computed too, and must read rows that exist.</summary>
    public void Pad(int candidates)
    {
        var rest = Layout.Capacity - candidates;
        new Span<long>((long*)(inputs.Address + (nint)Layout.RowOfOffset) + candidates, rest).Clear();
        for (var s = 0; s < segments.Count; s++)
        {
            if (!segments[s].IsRows)
                continue;
            for (var c = 0; c < segments[s].Columns; c++)
                new Span<int>((int*)(inputs.Address + (nint)Layout.SegmentOffsets[s]) + (nint)c * Layout.Capacity + candidates, rest).Clear();
        }
    }

    /// <summary>Results of some candidates.</summary>
    /// <param name="from">Place of the first one in the run.</param>
    /// <param name="logits">[candidates, targets], written.</param>
    /// <param name="scores">[candidates, targets], written.</param>
    public void Take(int from, Span<float> logits, Span<float> scores)
    {
        var start = (nint)from * signature.Targets.Count;
        new ReadOnlySpan<float>((float*)outputs.Address + start, logits.Length).CopyTo(logits);
        new ReadOnlySpan<float>((float*)(outputs.Address + (nint)Layout.ScoresOffset) + start, scores.Length).CopyTo(scores);
    }

    public void Dispose()
    {
        inputs.Dispose();
        outputs.Dispose();
        Done.Dispose();
    }

    private static void AddRows(in FeatureColumn column, int firstRow, int from, Span<int> to)
    {
        var rows = (int*)column.Data + from * column.Stride;
        if (column.Stride == 1)
        {
            TensorPrimitives.Add(new ReadOnlySpan<int>(rows, to.Length), firstRow, to);
            return;
        }
        for (var n = 0; n < to.Length; n++, rows += column.Stride)
            to[n] = *rows + firstRow;
    }

    private static void AddFloats(ReadOnlySpan<FeatureColumn> group, int from, int count, float* to, int stride)
    {
        foreach (ref readonly var column in group)
        {
            var values = (float*)column.Data + from * column.Stride;
            for (var n = 0; n < count; n++, values += column.Stride)
                new ReadOnlySpan<float>(values, column.Width).CopyTo(new Span<float>(to + (nint)n * stride, column.Width));
            to += column.Width;
        }
    }
}
