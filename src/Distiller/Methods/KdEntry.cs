using System.Text.Json;
using System.Text.Json.Nodes;
using KdServing.Contracts;
using KdServing.Distiller.Losses;

namespace KdServing.Distiller.Methods;

/// <summary>Writes entries of the <c>kd</c> list as presets need them.</summary>
internal static class KdEntry
{
    /// <summary>One entry a target, each comparing the target's prediction with its soft label.</summary>
    /// <param name="name">Of the losses; the target's name is appended when there are several.</param>
    /// <param name="entry">Type, weight and parameters.</param>
    /// <param name="head">Whose prediction; empty: the student's own.</param>
    public static IEnumerable<KdLossConfig> ForEveryTarget(FeatureSchema schema, string name, KdLossConfig entry, string softLabel, string head = "")
    {
        var prediction = head == "" ? "logits" : $"{head}_logits";
        return schema.Targets.Count == 1
            ? [entry with { LossName = name, PredName = prediction, SoftLabelName = softLabel }]
            : schema.Targets.Select(t => entry with
            {
                LossName = $"{name}_{t}",
                PredName = $"{prediction}_{t}",
                SoftLabelName = softLabel.Contains('/') ? $"{softLabel[..softLabel.LastIndexOf('/')]}/{t}" : softLabel,
            });
    }

    /// <summary>An entry with a block of its own.</summary>
    public static KdLossConfig Of(string lossType, string block, JsonObject parameters) => new()
    {
        LossType = lossType,
        Blocks = new() { [block] = JsonSerializer.SerializeToElement(parameters) },
    };

    /// <summary>An entry over lists or pairs: its block with the training's session and a temperature.</summary>
    public static KdLossConfig OfSessions(string lossType, string block, double temperature, params (string Name, JsonNode Value)[] more)
    {
        var parameters = new JsonObject { ["session_name"] = ListwiseLoss.TrainingSession, ["temperature"] = temperature };
        foreach (var (name, value) in more)
            parameters[name] = value;
        return Of(lossType, block, parameters);
    }
}
