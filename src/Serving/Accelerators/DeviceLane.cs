using System.Globalization;
using KdServing.Contracts;
using Microsoft.ML.OnnxRuntime;
using Microsoft.ML.OnnxRuntime.Tensors;

namespace KdServing.Serving.Accelerators;

/// <summary>One stream of a device with a session on it and a thread that feeds it: copy in, run, copy out.</summary>
/// <remarks>
/// The thread is the lane's own since ONNX Runtime keeps captured runs by thread. Inputs and outputs of a run have fixed places in the device's
/// memory, one for each size, so a run that was captured once is replayed: one call instead of one for each operator.
/// </remarks>
internal sealed class DeviceLane : IDisposable
{
    // ONNX Runtime captures the third one; the fourth is the first replay.
    private const int RunsBeforeReplay = 4;

    private readonly Accelerator accelerator;
    private readonly DeviceGraph graph;
    private readonly IReadOnlyList<DeviceLayout> layouts;
    private readonly int userWidth;
    private readonly int targets;
    private readonly nint stream;
    private readonly InferenceSession? session;
    private readonly DeviceMemory inputs;
    private readonly DeviceMemory outputs;
    private readonly Dictionary<(int Slot, int Capacity), BoundRun> bound = [];
    private readonly HashSet<(int Slot, int Capacity)> readied = [];
    private readonly Queue<(DeviceStaging Staging, int Slot)> requests = [];
    private readonly Queue<(Action Chore, TaskCompletionSource Done)> chores = [];
    private readonly Thread thread;
    private int length;
    private int runs;
    private bool closed;

    /// <exception cref="AcceleratorException">The device does not work, or has no memory left.</exception>
    /// <exception cref="OnnxRuntimeException">ONNX Runtime can not compute the graph there.</exception>
    public DeviceLane(Accelerator accelerator, DeviceGraph graph, IReadOnlyList<DeviceLayout> layouts, int userWidth, int targets, int number)
    {
        this.accelerator = accelerator;
        this.graph = graph;
        this.layouts = layouts;
        this.userWidth = userWidth;
        this.targets = targets;
        inputs = new(accelerator);
        outputs = new(accelerator);
        try
        {
            lock (accelerator.Setup)
            {
                stream = accelerator.NewStream();
                using var options = accelerator.NewOptions(stream);
                session = new(graph.Model, options);
            }
            // Never grown again: the addresses are bound.
            inputs.Reserve(layouts.Max(l => l.InputBytes));
            outputs.Reserve(layouts.Max(l => l.OutputBytes));
        }
        catch
        {
            Free();
            throw;
        }
        thread = new(Work) { IsBackground = true, Name = $"kd-device-{number}" };
        thread.Start();
    }

    /// <summary>Runs that wait or are under way; a hint where to queue the next.</summary>
    public int Length => Volatile.Read(ref length);

    /// <summary>Readies every size of run for a version's place in memory; other requests are served in between.</summary>
    /// <exception cref="AcceleratorException">The device does not work, or has no memory left.</exception>
    /// <exception cref="OnnxRuntimeException">ONNX Runtime can not compute the graph there.</exception>
    public void Prepare(DeviceSlot slot, Action rest)
    {
        foreach (var layout in layouts)
        {
            if (!readied.Contains((slot.Number, layout.Capacity)))
                Do(() => Bind(slot, layout));
            readied.Add((slot.Number, layout.Capacity));
            rest();
        }
    }

    /// <summary>Runs what is staged with the version in a slot; blocks until the results are there.</summary>
    /// <exception cref="AcceleratorException">The device, or ONNX Runtime on it, does not work.</exception>
    public void Run(DeviceStaging staging, DeviceSlot slot)
    {
        Interlocked.Increment(ref length);
        lock (requests)
        {
            requests.Enqueue((staging, slot.Number));
            Monitor.Pulse(requests);
        }
        staging.Done.Wait();
        Interlocked.Decrement(ref length);
        if (staging.Failure is { } failure)
            throw failure;
    }

    public void Dispose()
    {
        lock (requests)
        {
            closed = true;
            Monitor.Pulse(requests);
        }
        thread.Join();
        foreach (var run in bound.Values)
            run.Dispose();
        Free();
    }

    private void Free()
    {
        lock (accelerator.Setup)
        {
            session?.Dispose();
            if (stream != 0)
                accelerator.FreeStream(stream);
        }
        inputs.Dispose();
        outputs.Dispose();
    }

    private void Do(Action chore)
    {
        var done = new TaskCompletionSource();
        lock (requests)
        {
            chores.Enqueue((chore, done));
            Monitor.Pulse(requests);
        }
        done.Task.GetAwaiter().GetResult();
    }

    private void Work()
    {
        for (var isChoresTurn = false; ; isChoresTurn = !isChoresTurn)
        {
            (DeviceStaging, int)? request = null;
            (Action, TaskCompletionSource)? chore = null;
            lock (requests)
            {
                while (requests.Count == 0 && chores.Count == 0)
                {
                    if (closed)
                        return;
                    Monitor.Wait(requests);
                }
                // In turns: a version that is being readied waits for no quiet moment, and requests for one chore at most.
                if (chores.Count > 0 && (isChoresTurn || requests.Count == 0))
                    chore = chores.Dequeue();
                else
                    request = requests.Dequeue();
            }
            if (chore is var (work, done))
                Complete(work, done);
            if (request is var (staging, slot))
                Complete(staging, slot);
        }
    }

    private static void Complete(Action chore, TaskCompletionSource done)
    {
        try
        {
            chore();
            done.SetResult();
        }
        catch (Exception e)
        {
            done.SetException(e);
        }
    }

    private void Complete(DeviceStaging staging, int slot)
    {
        try
        {
            var layout = staging.Layout;
            var run = bound[(slot, layout.Capacity)];
            accelerator.Copy(inputs.Address, staging.Inputs, layout.InputBytes, stream);
            session!.RunWithBinding(run.Options, run.Binding);
            accelerator.Copy(staging.Outputs, outputs.Address, layout.OutputBytes, stream);
            accelerator.Synchronize(stream);
        }
        catch (Exception e) when (e is AcceleratorException or OnnxRuntimeException)
        {
            staging.Failure = new(e.Message);
        }
        staging.Done.Set();
    }

    private void Bind(DeviceSlot slot, DeviceLayout layout)
    {
        lock (accelerator.Setup)
        {
            // Every run has a number of its own: ONNX Runtime replays what it captured under that number, whatever is bound.
            var run = new BoundRun(session!, string.Create(CultureInfo.InvariantCulture, $"{++runs}"));
            try
            {
                BindPlaces(run, slot, layout);
                // What a run of another size left there is no row number.
                accelerator.Clear(inputs.Address, layout.InputBytes, stream);
                for (var i = 0; i < RunsBeforeReplay; i++)
                    session!.RunWithBinding(run.Options, run.Binding);
                accelerator.Synchronize(stream);
                bound.Add((slot.Number, layout.Capacity), run);
            }
            catch
            {
                run.Dispose();
                throw;
            }
        }
    }

    private void BindPlaces(BoundRun run, DeviceSlot slot, DeviceLayout layout)
    {
        foreach (var (name, value) in slot.Values)
            run.Binding.BindInput(name, value);
        for (var s = 0; s < graph.Segments.Count; s++)
        {
            var segment = graph.Segments[s];
            var place = inputs.Address + (nint)layout.SegmentOffsets[s];
            if (segment.IsRows)
                run.Bind(segment.Name, accelerator, TensorElementType.Int32, [segment.Columns, layout.Capacity], place, sizeof(int));
            else
                run.Bind(segment.Name, accelerator, TensorElementType.Float, [layout.Capacity, segment.Width], place, sizeof(float));
        }
        run.Bind(StudentSignature.RowOf, accelerator, TensorElementType.Int64, [layout.Capacity], inputs.Address + (nint)layout.RowOfOffset, sizeof(long));
        run.Bind(StudentSignature.User, accelerator, TensorElementType.Float, [DeviceLayout.Users, userWidth], inputs.Address + (nint)layout.UserOffset, sizeof(float));
        run.BindOutput(StudentSignature.Logits, accelerator, [layout.Capacity, targets], outputs.Address);
        run.BindOutput(StudentSignature.Scores, accelerator, [layout.Capacity, targets], outputs.Address + (nint)layout.ScoresOffset);
    }

    // A size of run with a version's place in memory.
    private sealed class BoundRun : IDisposable
    {
        private readonly List<OrtValue> values = [];

        public BoundRun(InferenceSession session, string number)
        {
            Binding = session.CreateIoBinding();
            Options = new();
            Options.AddRunConfigEntry("gpu_graph_id", number);
            // The copy of the results comes behind on the same stream, and is waited for.
            Options.AddRunConfigEntry("disable_synchronize_execution_providers", "1");
        }

        public OrtIoBinding Binding { get; }

        public RunOptions Options { get; }

        public void Bind(string name, Accelerator accelerator, TensorElementType type, long[] shape, nint address, int size) =>
            Binding.BindInput(name, Tensor(accelerator, type, shape, address, size));

        public void BindOutput(string name, Accelerator accelerator, long[] shape, nint address) =>
            Binding.BindOutput(name, Tensor(accelerator, TensorElementType.Float, shape, address, sizeof(float)));

        public void Dispose()
        {
            Binding.Dispose();
            Options.Dispose();
            foreach (var value in values)
                value.Dispose();
        }

        private OrtValue Tensor(Accelerator accelerator, TensorElementType type, long[] shape, nint address, int size)
        {
            var value = OrtValue.CreateTensorValueWithData(accelerator.Memory, type, shape, address, shape.Aggregate((long)size, (a, b) => a * b));
            values.Add(value);
            return value;
        }
    }
}
