using System.Globalization;
using KdServing.Contracts;
using Microsoft.ML.OnnxRuntime;
using Microsoft.ML.OnnxRuntime.Tensors;

namespace KdServing.Serving.Accelerators;

/// <summary>One graph on one stream of a device: its session, and for each size of run and place of a version what is bound to it. One thread at a time.</summary>
/// <remarks>
/// Inputs and outputs of a run have fixed places in the device's memory, one for each size, so a run that was captured once is replayed: one call
/// instead of one for each operator.
/// </remarks>
internal sealed class DeviceProgram : IDisposable
{
    // ONNX Runtime captures the third one; the fourth is the first replay.
    private const int RunsBeforeReplay = 4;

    private readonly Accelerator accelerator;
    private readonly DeviceGraph graph;
    private readonly StudentSignature signature;
    private readonly nint stream;
    private readonly InferenceSession session;
    private readonly DeviceMemory inputs;
    private readonly DeviceMemory outputs;
    private readonly Dictionary<(int Slot, int Capacity), BoundRun> bound = [];
    private int runs;

    /// <param name="inputs">Of every program of the stream; large enough, and never grown: the addresses are bound.</param>
    /// <param name="outputs">Likewise.</param>
    /// <exception cref="OnnxRuntimeException">ONNX Runtime can not compute the graph there.</exception>
    public DeviceProgram(Accelerator accelerator, DeviceGraph graph, StudentSignature signature, nint stream, DeviceMemory inputs, DeviceMemory outputs)
    {
        this.accelerator = accelerator;
        this.graph = graph;
        this.signature = signature;
        this.stream = stream;
        this.inputs = inputs;
        this.outputs = outputs;
        lock (accelerator.Setup)
        {
            using var options = accelerator.NewOptions(stream);
            session = new(graph.Model, options);
        }
    }

    /// <summary>Readies a size of run for a version's place in memory.</summary>
    /// <exception cref="AcceleratorException">The device does not work.</exception>
    /// <exception cref="OnnxRuntimeException">ONNX Runtime can not compute the graph there.</exception>
    public void Bind(DeviceSlot slot, DeviceLayout layout)
    {
        lock (accelerator.Setup)
        {
            // Every run has a number of its own: ONNX Runtime replays what it captured under that number, whatever is bound.
            var run = new BoundRun(session, string.Create(CultureInfo.InvariantCulture, $"{++runs}"));
            try
            {
                BindPlaces(run, slot, layout);
                // What a run of another size left there is no row number.
                accelerator.Clear(inputs.Address, layout.DeviceInputBytes, stream);
                for (var i = 0; i < RunsBeforeReplay; i++)
                    session.RunWithBinding(run.Options, run.Binding);
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

    /// <summary>Copies in, runs, copies out; returns when the results are there.</summary>
    /// <exception cref="AcceleratorException">The device does not work.</exception>
    /// <exception cref="OnnxRuntimeException">ONNX Runtime failed.</exception>
    public void Run(DeviceStaging staging, int slot)
    {
        var layout = staging.Layout;
        var run = bound[(slot, layout.Capacity)];
        accelerator.Copy(inputs.Address, staging.Inputs, layout.InputBytes, stream);
        if (graph.VectorWidth > 0)
        {
            accelerator.GatherRows(inputs.Address + (nint)layout.AddressesOffset, layout.Capacity, graph.VectorWidth, staging.Format,
                inputs.Address + (nint)layout.VectorsOffset, stream);
        }
        session.RunWithBinding(run.Options, run.Binding);
        accelerator.Copy(staging.Outputs, outputs.Address, layout.OutputBytes, stream);
        accelerator.Synchronize(stream);
    }

    public void Dispose()
    {
        foreach (var run in bound.Values)
            run.Dispose();
        lock (accelerator.Setup)
            session.Dispose();
    }

    private void BindPlaces(BoundRun run, DeviceSlot slot, DeviceLayout layout)
    {
        foreach (var (name, value) in slot.Values.Where(v => graph.Takes(v.Name)))
            run.Binding.BindInput(name, value);
        for (var s = 0; s < graph.Segments.Count; s++)
        {
            var segment = graph.Segments[s];
            if (segment.IsRows)
                Bind(segment.Name, TensorElementType.Int32, [segment.Columns, layout.Capacity], layout.SegmentOffsets[s], sizeof(int));
            else
                Bind(segment.Name, TensorElementType.Float, [layout.Capacity, segment.Width], layout.SegmentOffsets[s], sizeof(float));
        }
        if (graph.VectorWidth > 0)
            Bind(StudentSignature.ItemVector, TensorElementType.Float, [layout.Capacity, graph.VectorWidth], layout.VectorsOffset, sizeof(float));
        Bind(StudentSignature.RowOf, TensorElementType.Int64, [layout.Capacity], layout.RowOfOffset, sizeof(long));
        Bind(StudentSignature.User, TensorElementType.Float, [DeviceLayout.Users, signature.UserWidth], layout.UserOffset, sizeof(float));
        run.BindOutput(StudentSignature.Logits, accelerator, [layout.Capacity, signature.Targets.Count], outputs.Address);
        run.BindOutput(StudentSignature.Scores, accelerator, [layout.Capacity, signature.Targets.Count], outputs.Address + (nint)layout.ScoresOffset);

        void Bind(string name, TensorElementType type, long[] shape, long offset, int size) =>
            run.Bind(name, accelerator, type, shape, inputs.Address + (nint)offset, size);
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
