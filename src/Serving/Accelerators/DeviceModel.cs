using KdServing.Contracts;

namespace KdServing.Serving.Accelerators;

/// <summary>What versions of one student share on a device: lanes that compute, places in memory, page-locked memory for requests.</summary>
/// <remarks>Loads come from one thread, requests from any.</remarks>
internal sealed class DeviceModel : IDisposable
{
    private readonly Accelerator accelerator;
    private readonly StudentSignature signature;
    private readonly List<(DeviceGraph Graph, IReadOnlyList<DeviceLayout> Layouts)> programs;
    private readonly List<DeviceLane> lanes = [];
    private readonly List<DeviceSlot> slots = [];
    private readonly Stack<DeviceSlot> freeSlots = [];
    private readonly Stack<DeviceStaging> idle = [];
    private readonly Lock gate = new();
    private readonly DeviceMemory loading;
    private readonly nint loadStream;

    /// <param name="graphs">What makes scores of features, and, where there is a catalog, what makes them of known item vectors.</param>
    /// <exception cref="AcceleratorException">The device does not work, or has no memory left.</exception>
    /// <exception cref="Microsoft.ML.OnnxRuntime.OnnxRuntimeException">ONNX Runtime can not compute a graph there.</exception>
    public DeviceModel(Accelerator accelerator, IReadOnlyList<DeviceGraph> graphs, StudentSignature signature, int laneCount)
    {
        this.accelerator = accelerator;
        this.signature = signature;
        programs = [.. graphs.Select(g => (g, DeviceLayout.All(g, signature)))];
        loading = new(accelerator, isOnHost: true);
        loadStream = accelerator.NewStream();
        try
        {
            for (var l = 0; l < laneCount; l++)
                lanes.Add(new(accelerator, programs, signature, l));
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>Candidates one run has room for.</summary>
    public int MaxCandidates => programs[0].Layouts[^1].Capacity;

    /// <summary>Scores known item vectors too.</summary>
    public bool TakesVectors => programs.Count > 1;

    /// <summary>Device memory of all versions' places, bytes.</summary>
    public long SlotBytes
    {
        get
        {
            lock (gate)
                return slots.Sum(s => s.Bytes);
        }
    }

    /// <summary>Brings a version to the device.</summary>
    /// <param name="held">A version of this model that is there.</param>
    /// <param name="rest">Called between steps.</param>
    /// <exception cref="AcceleratorException">The device does not work, or has no memory left.</exception>
    /// <exception cref="Microsoft.ML.OnnxRuntime.OnnxRuntimeException">ONNX Runtime can not compute the graph there.</exception>
    public DeviceSlot Place(DeviceGraph graph, IReadOnlyList<EmbeddingTable> tables, (DeviceSlot Slot, IReadOnlyList<EmbeddingTable> Tables)? held, Action rest)
    {
        var slot = TakeSlot(graph);
        try
        {
            slot.Write(graph, tables, held, loadStream, loading, rest);
            foreach (var lane in lanes)
            {
                for (var p = 0; p < programs.Count; p++)
                    lane.Prepare(p, programs[p].Layouts, slot, rest);
            }
            return slot;
        }
        catch
        {
            Free(slot);
            throw;
        }
    }

    /// <summary>The version there is gone; no run reads it.</summary>
    public void Free(DeviceSlot slot)
    {
        lock (gate)
            freeSlots.Push(slot);
    }

    /// <summary>Page-locked memory for a run of so many candidates; give it back with <see cref="Return"/>.</summary>
    /// <param name="withVectors">Of known item vectors.</param>
    public DeviceStaging Rent(int candidates, bool withVectors)
    {
        DeviceStaging? staging;
        lock (gate)
            idle.TryPop(out staging);
        staging ??= new(accelerator, signature);
        var program = withVectors ? 1 : 0;
        var (graph, layouts) = programs[program];
        var size = 0;
        while (layouts[size].Capacity < candidates)
            size++;
        staging.Begin(program, graph, layouts[size]);
        return staging;
    }

    public void Return(DeviceStaging staging)
    {
        lock (gate)
            idle.Push(staging);
    }

    /// <summary>Runs what is staged on the lane with the least to do; blocks until the results are there.</summary>
    /// <exception cref="AcceleratorException">The device, or ONNX Runtime on it, does not work.</exception>
    public void Run(DeviceStaging staging, DeviceSlot slot)
    {
        var best = lanes[0];
        foreach (var lane in lanes)
        {
            if (lane.Length < best.Length)
                best = lane;
        }
        best.Run(staging, slot);
    }

    public void Dispose()
    {
        foreach (var lane in lanes)
            lane.Dispose();
        foreach (var slot in slots)
            slot.Dispose();
        while (idle.TryPop(out var staging))
            staging.Dispose();
        loading.Dispose();
        accelerator.FreeStream(loadStream);
    }

    private DeviceSlot TakeSlot(DeviceGraph graph)
    {
        lock (gate)
        {
            if (freeSlots.TryPop(out var free))
                return free;
        }
        var slot = new DeviceSlot(accelerator, graph, slots.Count);
        lock (gate)
            slots.Add(slot);
        return slot;
    }
}
