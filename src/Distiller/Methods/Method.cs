using KdServing.Contracts;
using KdServing.Distiller.Losses;
using KdServing.Distiller.Students;
using KdServing.Distiller.Training;
using TorchSharp.Modules;

namespace KdServing.Distiller.Methods;

/// <summary>How a student learns: its losses, and the parts that learn beside it. One instance a learner, which disposes it.</summary>
/// <remarks>
/// The same for a stream and for files:
/// <code>
/// var method = Method.Create(schema, shape, config);      // a preset, or the kd list as it is
/// using var learner = new Learner(schema, shape, config.Optimizer, config.Seed, method);
/// var batch = method.NewBatch();                          // decodes what the method reads
/// batch.Add(record);
/// learner.ScoreAndLearn(batch, logits);
/// </code>
/// </remarks>
public sealed class Method : IDisposable
{
    private readonly FeatureSchema schema;
    private readonly bool readsPrivileged;
    private readonly HiddenSource? hidden;

    internal Method(FeatureSchema schema, Recipe recipe, PartContext context)
    {
        this.schema = schema;
        readsPrivileged = recipe.ReadsPrivileged;
        hidden = recipe.Hidden;
        StopsAtLower = recipe.StopsAtLower;
        Objective = new(schema, recipe.HardLabel, recipe.Kd, new(recipe.Heads, recipe.SoftLabels, recipe.Sources));
        Parts = [.. recipe.Parts.Select(make => make(context with { Sources = Objective.Sources, Counters = Counters }))];
    }

    public Objective Objective { get; }

    public IReadOnlyList<MethodPart> Parts { get; }

    /// <summary>Whole numbers that parts remember, by name; what a checkpoint keeps and sets.</summary>
    public IDictionary<string, long> Counters { get; } = new SortedDictionary<string, long>(StringComparer.Ordinal);

    /// <summary>Unweighted losses of the last batch by name.</summary>
    public IReadOnlyDictionary<string, double> Losses => Objective.Values;

    /// <summary>The student's upper layers read a copy of the lower ones' output that passes no gradient back.</summary>
    public bool StopsAtLower { get; }

    /// <summary>Weights of the parts; not exported.</summary>
    public IEnumerable<(string Name, Parameter Parameter)> NamedParameters => Parts.SelectMany(p => p.Parameters);

    /// <summary>The preset that <paramref name="config"/> names, or its <c>kd</c> list as it is.</summary>
    /// <exception cref="ContractException">Names the field and its valid values.</exception>
    public static Method Create(FeatureSchema schema, StudentConfig shape, DistillerConfig config)
    {
        var recipe = PresetCatalogue.Recipe(schema, shape, config);
        return new(schema, recipe, new(schema, shape, config, recipe.HardLabel));
    }

    /// <summary>No teacher: the twin that a method is compared with.</summary>
    /// <exception cref="ContractException"><c>hard_label.weight</c> is 0, or another field is not valid.</exception>
    public static Method LabelsOnly(FeatureSchema schema, StudentConfig shape, DistillerConfig config) =>
        new(schema, new() { HardLabel = config.HardLabel }, new(schema, shape, config, config.HardLabel));

    /// <summary>An empty batch that decodes what the method reads.</summary>
    /// <param name="more">Further soft labels to decode, for evaluation; they come after the method's.</param>
    public FeatureBatch NewBatch(params IEnumerable<SoftLabelSource> more) =>
        new(schema, [.. Objective.Sources.Concat(more).Distinct()], readsPrivileged, hidden);

    /// <summary>The weighted sum of all losses; null when the batch holds nothing to learn from.</summary>
    /// <exception cref="ContractException">A loss can not be computed on this batch.</exception>
    public TotalLoss? Loss(LearningStep step)
    {
        foreach (var part in Parts)
            part.Run(step);
        return Objective.Value(step);
    }

    public void Dispose()
    {
        foreach (var part in Parts)
            part.Dispose();
    }
}

/// <summary>What parts are made from.</summary>
/// <param name="HardLabel">How labels count, for parts that learn from them.</param>
public sealed record PartContext(FeatureSchema Schema, StudentConfig Shape, DistillerConfig Config, HardLabelConfig HardLabel)
{
    /// <summary>What a batch's soft labels come from, in their order.</summary>
    public IReadOnlyList<SoftLabelSource> Sources { get; init; } = [];

    /// <summary>See <see cref="Method.Counters"/>.</summary>
    public IDictionary<string, long> Counters { get; init; } = new Dictionary<string, long>();

    /// <summary>A seed for the part of this name: the student's own weights do not depend on what is beside it.</summary>
    public ulong Seed(string part) => FeatureHash.Mix(Config.Seed ^ FeatureHash.Seed($"method.{part}"));
}
