using KdServing.Contracts;
using KdServing.Distiller.Students;
using KdServing.Distiller.Training;

namespace KdServing.Distiller.Methods;

/// <summary>Every preset that <c>preset</c> of distiller.json can name. A new one is an entry in one of the lists this one joins.</summary>
public static class PresetCatalogue
{
    /// <summary>In the order of the documentation.</summary>
    public static IReadOnlyList<Preset> All { get; } =
        [.. ResponsePresets.All, .. LabelPresets.All, .. JointPresets.All, .. RankingPresets.All, .. RelationPresets.All];

    /// <summary>Names of <see cref="All"/>.</summary>
    public static IReadOnlyList<string> Names { get; } = [.. All.Select(p => p.Name)];

    /// <exception cref="ContractException">Unknown; names the known ones.</exception>
    public static Preset Get(string name) => All.FirstOrDefault(p => p.Name == name)
        ?? throw new ContractException("preset", $"'{name}' is unknown; one of {string.Join(", ", Names)}");

    /// <summary>Refuses names and blocks that fit nothing; the block's own fields are checked when the method is made.</summary>
    /// <exception cref="ContractException">Names the field and what is valid.</exception>
    public static void Require(DistillerConfig config)
    {
        foreach (var key in config.Blocks?.Keys ?? Enumerable.Empty<string>())
        {
            if (key == config.Preset)
                continue;
            throw new ContractException(key, Names.Contains(key)
                ? $"is the block of a preset that is not switched on; set preset to '{key}' or remove the block"
                : $"is unknown; one of {string.Join(", ", Losses.ConfigBlock.Fields(typeof(DistillerConfig)))}{(config.Preset is null ? "" : $", {config.Preset}")}");
        }
        if (config.Preset is null)
            return;
        Get(config.Preset);
        if (config.Kd.Count > 0)
            throw new ContractException("kd", $"must be empty with preset '{config.Preset}', which brings its own; remove one of the two");
    }

    /// <summary>The recipe that a configuration asks for: of its preset, or its <c>kd</c> list as it is.</summary>
    /// <exception cref="ContractException">Names the field and what is valid.</exception>
    internal static Recipe Recipe(FeatureSchema schema, StudentConfig shape, DistillerConfig config)
    {
        Require(config);
        if (config.Preset is not { } name)
            return new() { Kd = config.Kd, HardLabel = config.HardLabel };
        System.Text.Json.JsonElement? block = config.Blocks is not null && config.Blocks.TryGetValue(name, out var given) ? given : null;
        return Get(name).Build(block, new(schema, shape, config, name));
    }
}
