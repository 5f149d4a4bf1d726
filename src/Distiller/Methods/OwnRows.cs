using KdServing.Contracts;
using KdServing.Distiller.Students;
using KdServing.Distiller.Training;
using static TorchSharp.torch;

namespace KdServing.Distiller.Methods;

/// <summary>Embedding rows that a joint teacher does not share with its student: of the features listed, or of all ("Share*" of arXiv:1907.05171).</summary>
/// <remarks>Holds a second set of every table, also of the shared ones; what is shared is never read from it.</remarks>
internal sealed class OwnRows
{
    /// <summary>Stands for every feature.</summary>
    public const string All = "all";

    private readonly IReadOnlyList<string> names;
    private readonly bool all;

    /// <param name="names">Features, or <see cref="All"/>.</param>
    public OwnRows(PartContext context, IReadOnlyList<string> names)
    {
        this.names = names;
        all = names.Contains(All);
        Embeddings = new(context.Schema, context.Config.Optimizer.Embedding, context.Seed("rows"));
        HasPrivileged = all;
    }

    public SparseEmbeddings Embeddings { get; }

    /// <summary>Privileged features too are read from here.</summary>
    public bool HasPrivileged { get; }

    /// <summary>Refuses a name that is no feature with rows.</summary>
    /// <exception cref="ContractException">Names the field and the valid names.</exception>
    public static void Require(IReadOnlyList<string> names, FeatureSchema schema, string field)
    {
        var known = Groups(schema).SelectMany(g => g.Features).Where(f => f.Table >= 0).Select(f => f.Name).ToList();
        for (var i = 0; i < names.Count; i++)
        {
            if (names[i] != All && !known.Contains(names[i]))
                throw new ContractException($"{field}[{i}]", $"'{names[i]}' is not a feature with embeddings; {All}, or of {string.Join(", ", known)}");
        }
    }

    /// <summary>The student's matrices with the columns of the listed features exchanged.</summary>
    public StudentInput Input(LearningStep step)
    {
        var batch = step.Batch;
        return step.Input with
        {
            User = Exchanged(step, step.Input.User, batch.User),
            Item = Exchanged(step, step.Input.Item, batch.Item),
            Live = step.Input.Live is null ? null : Exchanged(step, step.Input.Live, batch.Live),
        };
    }

    private Tensor Exchanged(LearningStep step, Tensor shared, GroupRows rows)
    {
        var group = rows.Group;
        if (all)
            return step.Gather(Embeddings, rows);
        var isOwn = new float[group.Width];
        foreach (var feature in group.Features.Where(f => f.Table >= 0 && names.Contains(f.Name)))
            isOwn.AsSpan(feature.Offset, feature.Width).Fill(1);
        if (!isOwn.Contains(1))
            return shared;
        var mask = tensor(isOwn);
        return step.Gather(Embeddings, rows).mul(mask).add(shared.mul(1 - mask));
    }

    private static FeatureGroup[] Groups(FeatureSchema schema) => [schema.User, schema.Item, schema.Live];
}
