using KdServing.Contracts;
using KdServing.Distiller.Training;
using static TorchSharp.torch;

namespace KdServing.Distiller.Losses;

/// <summary>The columns that a <c>kd</c> entry can name in training: what records of the stream say of a candidate.</summary>
internal static class TrainingColumns
{
    private const string Label = "label";

    /// <summary>Refuses an entry that needs what the stream does not carry.</summary>
    /// <exception cref="ContractException">Names the field and its valid values.</exception>
    public static void Require(DistillationLoss loss, KdLossConfig config, FeatureSchema schema, string field)
    {
        if (loss.NeedsVectors)
            throw new ContractException($"{field}.loss_type", $"'{config.LossType}' compares vectors, and a student predicts one logit a target; in training use preset {(config.LossType == "JRC_LOSS" ? "jrc" : "info_nce")}, here it is for 'losses eval'");
        if (loss.LabelKind == SoftLabelKind.Prediction && !loss.LabelIsLogits && !(config.LabelIsLogits && config.EasyrecCompat))
            throw new ContractException($"{field}.{loss.LabelIsLogitsField}", "must be true: teachers stream logits");
        if (loss.Session is { } session && session.Name != ListwiseLoss.TrainingSession)
            throw new ContractException(session.Field, $"'{session.Name}' is unknown; must be '{ListwiseLoss.TrainingSession}': a session is one record");
        string[] names = [Label, .. schema.Targets.Select(t => $"{Label}_{t}")];
        foreach (var column in loss.Columns)
        {
            if (!names.Contains(column.Name))
                throw new ContractException(column.Field, $"'{column.Name}' is not a column of the stream; one of {string.Join(", ", names)}");
        }
    }

    /// <summary>Hard labels, NaN where unknown.</summary>
    /// <param name="target">Whose label <c>label</c> is.</param>
    public static Dictionary<string, Tensor> Columns(DistillationLoss loss, FeatureSchema schema, FeatureBatch batch, int target, long[]? places)
    {
        var columns = new Dictionary<string, Tensor>();
        foreach (var column in loss.Columns)
        {
            var of = 0;
            while (column.Name != Label && column.Name != $"{Label}_{schema.Targets[of]}")
                of++;
            var states = batch.Labels(column.Name == Label ? target : of);
            var labels = new float[places?.Length ?? states.Length];
            for (var i = 0; i < labels.Length; i++)
            {
                labels[i] = (LabelState)states[Place(places, i)] switch
                {
                    LabelState.Positive => 1,
                    LabelState.Negative => 0,
                    _ => float.NaN,
                };
            }
            columns[column.Name] = tensor(labels);
        }
        return columns;
    }

    private static int Place(long[]? places, int i) => places is null ? i : (int)places[i];
}
