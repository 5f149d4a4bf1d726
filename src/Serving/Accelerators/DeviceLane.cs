using KdServing.Contracts;
using Microsoft.ML.OnnxRuntime;

namespace KdServing.Serving.Accelerators;

/// <summary>One stream of a device with the programs on it and a thread that feeds it.</summary>
/// <remarks>The thread is the lane's own since ONNX Runtime keeps captured runs by thread.</remarks>
internal sealed class DeviceLane : IDisposable
{
    // As many runs as one chore takes the time of: a few milliseconds.
    private const int ChoreLength = 32;

    private readonly Accelerator accelerator;
    private readonly nint stream;
    private readonly List<DeviceProgram> programs = [];
    private readonly DeviceMemory inputs;
    private readonly DeviceMemory outputs;
    private readonly HashSet<(int Slot, DeviceLayout)> readied = [];
    private readonly Queue<(DeviceStaging Staging, int Slot)> requests = [];
    private readonly Queue<(Action Chore, TaskCompletionSource Done)> chores = [];
    private readonly Thread thread;
    private int length;
    private bool closed;

    /// <param name="graphs">With the sizes of their runs.</param>
    /// <exception cref="AcceleratorException">The device does not work, or has no memory left.</exception>
    /// <exception cref="OnnxRuntimeException">ONNX Runtime can not compute a graph there.</exception>
    public DeviceLane(Accelerator accelerator, IReadOnlyList<(DeviceGraph Graph, IReadOnlyList<DeviceLayout> Layouts)> graphs, StudentSignature signature, int number)
    {
        this.accelerator = accelerator;
        inputs = new(accelerator);
        outputs = new(accelerator);
        try
        {
            stream = accelerator.NewStream();
            inputs.Reserve(graphs.SelectMany(g => g.Layouts).Max(l => l.DeviceInputBytes));
            outputs.Reserve(graphs.SelectMany(g => g.Layouts).Max(l => l.OutputBytes));
            foreach (var (graph, _) in graphs)
                programs.Add(new(accelerator, graph, signature, stream, inputs, outputs));
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

    /// <summary>Readies every size of run of a program for a version's place in memory; requests are served in between. The loader's thread.</summary>
    /// <exception cref="AcceleratorException">The device does not work, or has no memory left.</exception>
    /// <exception cref="OnnxRuntimeException">ONNX Runtime can not compute the graph there.</exception>
    public void Prepare(int program, IReadOnlyList<DeviceLayout> layouts, DeviceSlot slot, Action rest)
    {
        foreach (var layout in layouts)
        {
            if (readied.Contains((slot.Number, layout)))
                continue;
            Do(() => programs[program].Bind(slot, layout));
            readied.Add((slot.Number, layout));
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
        Free();
    }

    private void Free()
    {
        foreach (var program in programs)
            program.Dispose();
        if (stream != 0)
            accelerator.FreeStream(stream);
        inputs.Dispose();
        outputs.Dispose();
    }

    private void Do(Action chore)
    {
        var done = new TaskCompletionSource();
        // Requests that can go to another lane do.
        Interlocked.Add(ref length, ChoreLength);
        lock (requests)
        {
            chores.Enqueue((chore, done));
            Monitor.Pulse(requests);
        }
        try
        {
            done.Task.GetAwaiter().GetResult();
        }
        finally
        {
            Interlocked.Add(ref length, -ChoreLength);
        }
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
            programs[staging.Program].Run(staging, slot);
        }
        catch (Exception e) when (e is AcceleratorException or OnnxRuntimeException)
        {
            staging.Failure = new(e.Message);
        }
        staging.Done.Set();
    }
}
