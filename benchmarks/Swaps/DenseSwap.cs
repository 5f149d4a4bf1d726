using Google.Protobuf;
using KdServing.Contracts;
using KdServing.Distiller.Publishing.Onnx;
using KdServing.Serving.Kernels;
using KdServing.Serving.Models;
using Microsoft.ML.OnnxRuntime;

namespace KdServing.Benchmarks.Swaps;

/// <summary>One way to take new dense weights into use; each swap ends with a score, so that what is made lazily is made.</summary>
internal abstract class DenseSwap : IDisposable
{
    private const int Candidates = 64;

    public static DenseSwap Create(SwapWay way, ReferenceStudent student, byte[][] graphs) => way switch
    {
        SwapWay.Sessions => new SessionSwap(student, graphs),
        SwapWay.Bound => new BoundSwap(student, graphs[2]),
        SwapWay.Kernel => new KernelSwap(student, graphs),
        _ => new VersionSwap(student),
    };

    public abstract void Swap();

    public virtual void Dispose()
    {
    }

    private static SessionOptions Options() => new() { IntraOpNumThreads = 1, InterOpNumThreads = 1, ExecutionMode = ExecutionMode.ORT_SEQUENTIAL };

    private static Dictionary<string, OrtValue> HeadInputs(StudentSignature s) => new()
    {
        [StudentSignature.UserPart] = OrtValue.CreateTensorValueFromMemory(new float[s.UserPartWidth], [1, s.UserPartWidth]),
        [StudentSignature.RowOf] = OrtValue.CreateTensorValueFromMemory(new long[Candidates], [Candidates]),
        [StudentSignature.ItemVector] = OrtValue.CreateTensorValueFromMemory(new float[Candidates * s.ItemVectorWidth], [Candidates, s.ItemVectorWidth]),
    };

    private static void Run(InferenceSession session, RunOptions run, Dictionary<string, OrtValue> inputs)
    {
        using var results = session.Run(run, inputs, [StudentSignature.Logits]);
        if (!float.IsFinite(results[0].GetTensorDataAsSpan<float>()[0]))
            throw new InvalidOperationException("a score is not finite");
    }

    private sealed class SessionSwap(ReferenceStudent student, byte[][] graphs) : DenseSwap
    {
        private readonly Dictionary<string, OrtValue> inputs = HeadInputs(student.Servable.Manifest.Signature);
        private readonly RunOptions run = new();
        private readonly SessionOptions options = Options();

        public override void Swap()
        {
            using var user = new InferenceSession(graphs[0], options);
            using var item = new InferenceSession(graphs[1], options);
            using var head = new InferenceSession(graphs[2], options);
            Run(head, run, inputs);
        }

        public override void Dispose()
        {
            foreach (var value in inputs.Values)
                value.Dispose();
            run.Dispose();
            options.Dispose();
        }
    }

    // The head alone, the largest of the three: its weights become inputs, and two sets of buffers take turns.
    private sealed class BoundSwap : DenseSwap
    {
        private readonly Dictionary<string, OrtValue> inputs;
        private readonly RunOptions run = new();
        private readonly InferenceSession session;
        private readonly List<(string Name, byte[] Raw, float[][] Buffers, long[] Shape)> weights = [];
        private int turn;

        public BoundSwap(ReferenceStudent student, byte[] head)
        {
            inputs = HeadInputs(student.Servable.Manifest.Signature);
            var model = ModelProto.Parser.ParseFrom(head);
            foreach (var tensor in model.Graph.Initializer)
            {
                var raw = tensor.RawData.ToByteArray();
                weights.Add((tensor.Name, raw, [new float[raw.Length / sizeof(float)], new float[raw.Length / sizeof(float)]], [.. tensor.Dims]));
                var shape = new TensorShapeProto { Dim = { tensor.Dims.Select(d => new TensorShapeProto.Types.Dimension { DimValue = d }) } };
                model.Graph.Input.Add(new ValueInfoProto { Name = tensor.Name, Type = new() { TensorType = new() { ElemType = tensor.DataType, Shape = shape } } });
            }
            model.Graph.Initializer.Clear();
            using var options = Options();
            session = new(model.ToByteArray(), options);
        }

        public override void Swap()
        {
            turn ^= 1;
            var bound = new Dictionary<string, OrtValue>(inputs);
            foreach (var (name, raw, buffers, shape) in weights)
            {
                Buffer.BlockCopy(raw, 0, buffers[turn], 0, raw.Length);
                bound[name] = OrtValue.CreateTensorValueFromMemory(buffers[turn], shape);
            }
            Run(session, run, bound);
            foreach (var (name, _, _, _) in weights)
                bound[name].Dispose();
        }

        public override void Dispose()
        {
            session.Dispose();
            run.Dispose();
            foreach (var value in inputs.Values)
                value.Dispose();
        }
    }

    private sealed class KernelSwap(ReferenceStudent student, byte[][] graphs) : DenseSwap
    {
        public override void Swap()
        {
            var weights = StudentWeights.Read(graphs[0], graphs[1], graphs[2]);
            using var kernel = StudentKernel.Make(weights, student.Servable.Manifest.Signature)
                ?? throw new NotSupportedException("this machine's vectors are too narrow for the kernel");
        }
    }

    private sealed class VersionSwap : DenseSwap
    {
        private readonly InferenceRuntime runtime = InferenceRuntime.Open(InferenceDevice.Cpu);
        private readonly ScoringBufferPool pool = new();
        private readonly ServableLoader loader;
        private readonly RankRequest request;
        private Servable current;

        public VersionSwap(ReferenceStudent student)
        {
            loader = new(new(student.Folder), runtime, pool, new(), TimeSpan.FromSeconds(1));
            request = student.Request(Candidates, raw: true);
            current = loader.Load(ReferenceStudent.Model, 1, held: null);
        }

        public override void Swap()
        {
            var next = loader.Load(ReferenceStudent.Model, 1, current);
            loader.WarmUp(next);
            var run = next.Rent();
            next.Score(request, run, CallBudget.Unlimited);
            next.Return(run);
            current.Dispose();
            current = next;
        }

        public override void Dispose()
        {
            current.Dispose();
            pool.Dispose();
            runtime.Dispose();
        }
    }
}
