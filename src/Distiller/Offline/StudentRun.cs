using KdServing.Contracts;
using KdServing.Distiller.Methods;
using KdServing.Distiller.Students;
using KdServing.Distiller.Training;

namespace KdServing.Distiller.Offline;

/// <summary>How one student of a comparison came out.</summary>
/// <param name="Name">The preset, or <see cref="Contender.LabelsOnlyName"/>.</param>
/// <param name="Inner">On the inner split, which chose the epoch and chooses the preset; progressive runs: on the first half.</param>
/// <param name="Valid">What is reported.</param>
/// <param name="Epochs">Epochs learned; the best of them was kept.</param>
/// <param name="ExamplesPerSecond">Candidates learned a second, evaluation not counted.</param>
/// <param name="SessionAuc">Progressive runs: AUC of each record, NaN where it lacks a class.</param>
public sealed record StudentRun(string Name, int Seed, OfflineMetrics Inner, OfflineMetrics Valid, int Epochs, double ExamplesPerSecond, float[]? SessionAuc = null);

/// <summary>A student to compare: a preset, perhaps on records with unexposed candidates, or labels only.</summary>
/// <param name="Preset">Null: labels only.</param>
public sealed record Contender(string Name, Preset? Preset, bool WantsUnexposed)
{
    public const string LabelsOnlyName = "labels_only";

    /// <summary>Behind a preset's name: it learns from the teacher's opinion of unexposed candidates too.</summary>
    public const string UnexposedSuffix = "+unexposed";

    public const string AllName = "all";

    public static Contender LabelsOnly { get; } = new(LabelsOnlyName, null, false);

    /// <summary>Reads <c>--presets</c>: names with commas between them, <c>all</c>, and names with <see cref="UnexposedSuffix"/>.</summary>
    /// <exception cref="ContractException">An unknown name; lists the known ones.</exception>
    public static IReadOnlyList<Contender> Parse(string presets)
    {
        var contenders = new List<Contender>();
        foreach (var name in presets.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))
        {
            if (name == AllName)
            {
                contenders.AddRange(PresetCatalogue.All.Select(p => new Contender(p.Name, p, p.Needs.HasFlag(PresetNeeds.Unexposed))));
                continue;
            }
            var extended = name.EndsWith(UnexposedSuffix, StringComparison.Ordinal);
            var plain = extended ? name[..^UnexposedSuffix.Length] : name;
            if (!PresetCatalogue.Names.Contains(plain))
                throw new ContractException("--presets", $"'{name}' is unknown; {AllName}, or any of {string.Join(", ", PresetCatalogue.Names)}, each perhaps followed by {UnexposedSuffix}");
            var preset = PresetCatalogue.Get(plain);
            contenders.Add(new(name, preset, extended || preset.Needs.HasFlag(PresetNeeds.Unexposed)));
        }
        if (contenders.Count == 0)
            throw new ContractException("--presets", $"names none; {AllName}, or any of {string.Join(", ", PresetCatalogue.Names)}");
        return [.. contenders.DistinctBy(c => c.Name)];
    }

    /// <summary>Why the data can not give what it needs; null when it can.</summary>
    public string? Missing(FeatureSchema schema, IReadOnlyList<string> teachers, bool hasUnexposed) => Preset is null ? null : this switch
    {
        _ when Preset.Needs.HasFlag(PresetNeeds.TeacherLogits) && teachers.Count == 0 => "needs a teacher's logits",
        _ when Preset.Needs.HasFlag(PresetNeeds.SeveralTeachers) && teachers.Count < 2 => "needs several teachers",
        _ when Preset.Needs.HasFlag(PresetNeeds.Privileged) && schema.Privileged.Features.Count == 0 => "needs privileged features, which this schema has none of",
        _ when WantsUnexposed && !hasUnexposed => "needs unexposed candidates: set offline.unexposed above 0 in distiller.json (schemas with live item features can not have any)",
        _ => null,
    };

    /// <summary>The configuration of its training: the preset with its block of <c>offline.presets</c>.</summary>
    public DistillerConfig Configure(DistillerConfig config, int seed)
    {
        var block = Preset is not null && (config.Offline.Presets.TryGetValue(Name, out var own) || config.Offline.Presets.TryGetValue(Preset.Name, out own))
            ? own : (System.Text.Json.JsonElement?)null;
        return config with
        {
            Preset = Preset?.Name,
            Kd = [],
            Blocks = Preset is null || block is null ? null : new() { [Preset.Name] = block.Value },
            Seed = config.Seed + (ulong)seed - 1,
        };
    }

    /// <param name="config">As <see cref="Configure"/> made it.</param>
    /// <exception cref="ContractException">The block has a wrong field.</exception>
    public Method Method(FeatureSchema schema, StudentConfig shape, DistillerConfig config) => Preset is null
        ? Methods.Method.LabelsOnly(schema, shape, config)
        : Methods.Method.Create(schema, shape, config);
}
