using System.Runtime.InteropServices;
using System.Text.Json;
using KdServing.Contracts;
using KdServing.Distiller.Students;
using KdServing.Distiller.Training;

namespace KdServing.Benchmarks.Training;

/// <summary>The decoded batches and the initial dense weights as files that <c>pytorch/train.py</c> reads.</summary>
/// <remarks>
/// <c>workload.json</c> describes shapes; <c>batches.bin</c> holds, batch after batch and feature after feature (user, item, live),
/// rows as int64, sequences as starts [U + 1] and rows, numbers as float32; then labels, log q and the teacher's logits [N] float32.
/// <c>dense.bin</c>: every layer's weight and bias, float32, in the order of <c>layers</c>. <c>rows.bin</c>: the tables.
/// </remarks>
internal static class WorkloadFiles
{
    /// <param name="withRows">Also the initial embedding rows, so that losses can be compared step by step.</param>
    public static void Write(string folder, TrainingWorkload workload, IReadOnlyList<FeatureBatch> batches, Learner learner, bool withRows)
    {
        var schema = workload.Schema;
        var dense = (DenseMlp)learner.Student.ToDense();
        (string Name, DenseLayer Layer)[] layers =
        [
            ("user", dense.User), ("item", dense.Item), ("live", dense.Live!),
            .. dense.Hidden.Select((layer, k) => ($"hidden_{k}", layer)), ("output", dense.Output),
        ];
        using (var file = File.Create(Path.Combine(folder, "dense.bin")))
        {
            foreach (var (_, layer) in layers)
            {
                Append<float>(file, layer.Weight);
                Append<float>(file, layer.Bias ?? []);
            }
        }
        if (withRows)
        {
            using var file = File.Create(Path.Combine(folder, "rows.bin"));
            foreach (var table in learner.Embeddings.Tables)
            {
                for (var row = 0; row < table.Rows; row++)
                    Append(file, table[row]);
            }
        }
        using (var file = File.Create(Path.Combine(folder, "batches.bin")))
        {
            foreach (var batch in batches)
                Append(file, batch);
        }
        File.WriteAllText(Path.Combine(folder, "workload.json"), JsonSerializer.Serialize(new
        {
            tables = schema.Tables.Select(t => new { name = t.Name, rows = t.Rows, width = t.Width }),
            user = Features(schema.User),
            item = Features(schema.Item),
            live = Features(schema.Live),
            layers = layers.Select(l => new { name = l.Name, inputs = l.Layer.Inputs, outputs = l.Layer.Outputs, bias = l.Layer.Bias is not null }),
            impressions = workload.Config.BatchRecords,
            candidates = TrainingWorkload.Candidates,
            batches = batches.Select(b => schema.User.Features.Select((f, k) => f.Kind == FeatureKind.Sequence ? b.User.TableRows(k).Length : 0)),
            dense_learning_rate = workload.Config.Optimizer.Dense.LearningRate,
            row_learning_rate = workload.Config.Optimizer.Embedding.LearningRate,
            row_initial_accumulator = workload.Config.Optimizer.Embedding.InitialAccumulator,
            listwise_weight = workload.Config.Kd[0].LossWeight,
            pointwise_weight = workload.Config.Kd[1].LossWeight,
            hard_weight = workload.Config.HardLabel.Weight,
        }));
    }

    private static IEnumerable<object> Features(FeatureGroup group) =>
        group.Features.Select(f => new { kind = f.Kind.ToString().ToLowerInvariant(), table = f.Table, offset = f.Offset, width = f.Width });

    private static void Append(FileStream file, FeatureBatch batch)
    {
        foreach (var rows in (GroupRows[])[batch.User, batch.Item, batch.Live])
        {
            for (var k = 0; k < rows.Group.Features.Count; k++)
            {
                if (rows.Group.Features[k].Kind == FeatureKind.Numeric)
                {
                    Append(file, rows.Numbers(k));
                    continue;
                }
                if (rows.Group.Features[k].Kind == FeatureKind.Sequence)
                    Append<long>(file, Longs(rows.SequenceStarts(k)));
                Append<long>(file, Longs(rows.TableRows(k)));
            }
        }
        var (labels, logQ) = (new float[batch.Candidates], new float[batch.Candidates]);
        for (var i = 0; i < batch.Candidates; i++)
        {
            labels[i] = batch.Labels(0)[i] == (byte)LabelState.Positive ? 1 : 0;
            logQ[i] = batch.Origins[i] == (byte)CandidateOrigin.Sampled ? batch.LogQ[i] : 0;
        }
        Append<float>(file, labels);
        Append<float>(file, logQ);
        Append(file, batch.SoftLabels(0));
    }

    private static long[] Longs(ReadOnlySpan<int> values)
    {
        var longs = new long[values.Length];
        for (var i = 0; i < longs.Length; i++)
            longs[i] = values[i];
        return longs;
    }

    private static void Append<T>(FileStream file, ReadOnlySpan<T> values) where T : unmanaged => file.Write(MemoryMarshal.AsBytes(values));
}
