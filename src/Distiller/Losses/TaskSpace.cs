using System.Globalization;
using KdServing.Contracts;
using KdServing.Distiller.Training;

namespace KdServing.Distiller.Losses;

/// <summary>Which candidates a <c>kd</c> entry's <c>task_space_indicator</c> means: those of an origin, or with a value of a feature.</summary>
/// <remarks>
/// A batch holds table rows, not raw ids: a value of a hashed feature is matched by its row, so ids that share a row are in together.
/// </remarks>
public sealed class TaskSpace
{
    private const string Origin = "origin";
    private static readonly string[] Origins = ["exposed", "sampled", "probe"];

    private readonly float inside;
    private readonly float outside;
    private readonly Action<FeatureBatch, Span<bool>> mark;
    private bool[] marked = [];

    private TaskSpace(KdLossConfig config, Action<FeatureBatch, Span<bool>> mark)
    {
        inside = (float)config.InTaskSpaceWeight;
        outside = (float)config.OutTaskSpaceWeight;
        this.mark = mark;
    }

    /// <returns>Null when the entry has no task space.</returns>
    /// <exception cref="ContractException">Unknown indicator or value; names the valid ones.</exception>
    public static TaskSpace? Parse(KdLossConfig config, FeatureSchema schema, string field)
    {
        if (config is not { TaskSpaceIndicatorName: { } name, TaskSpaceIndicatorValue: { } value })
            return null;
        var valueField = $"{field}.task_space_indicator_value";
        if (name == Origin)
        {
            var origin = Array.IndexOf(Origins, value);
            if (origin < 0)
                throw new ContractException(valueField, $"'{value}' is not an {Origin}; one of {string.Join(", ", Origins)}");
            return new(config, (batch, of) =>
            {
                for (var i = 0; i < of.Length; i++)
                    of[i] = batch.Origins[i] == origin + (int)CandidateOrigin.Exposed;
            });
        }
        foreach (var (group, rows) in Groups(schema))
        {
            for (var k = 0; k < group.Features.Count; k++)
            {
                if (group.Features[k].Name == name)
                    return new(config, Of(group.Features[k], k, rows, group == schema.User, value, valueField));
            }
        }
        throw new ContractException($"{field}.task_space_indicator_name", $"'{name}' cannot be used in training; one of "
            + string.Join(", ", Groups(schema).SelectMany(g => g.Group.Features).Where(f => f.Kind != FeatureKind.Sequence).Select(f => f.Name).Prepend(Origin)));
    }

    /// <summary>Weights of the candidates at <paramref name="places"/>; null: of all. [places or N]</summary>
    public float[] Weights(FeatureBatch batch, long[]? places)
    {
        if (marked.Length < batch.Candidates)
            marked = new bool[batch.Candidates];
        mark(batch, marked.AsSpan(0, batch.Candidates));
        var weights = new float[places?.Length ?? batch.Candidates];
        for (var i = 0; i < weights.Length; i++)
            weights[i] = marked[places is null ? i : (int)places[i]] ? inside : outside;
        return weights;
    }

    private static (FeatureGroup Group, Func<FeatureBatch, GroupRows> Rows)[] Groups(FeatureSchema schema) =>
        [(schema.User, b => b.User), (schema.Item, b => b.Item), (schema.Live, b => b.Live)];

    private static Action<FeatureBatch, Span<bool>> Of(Feature feature, int k, Func<FeatureBatch, GroupRows> rows, bool isUser, string value, string field)
    {
        switch (feature.Kind)
        {
            case FeatureKind.Sequence:
                throw new ContractException(field, $"'{feature.Name}' is a sequence; name a feature with one value a row");
            case FeatureKind.Numeric:
                if (!float.TryParse(value, NumberStyles.Float, CultureInfo.InvariantCulture, out var raw))
                    throw new ContractException(field, $"'{value}' is not a number, and '{feature.Name}' is numeric");
                var number = feature.Normalise(raw);
                return (batch, of) =>
                {
                    var numbers = rows(batch).Numbers(k);
                    for (var i = 0; i < of.Length; i++)
                        of[i] = numbers[Row(batch, i)] == number;
                };
            default:
                if (!long.TryParse(value, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var id))
                    throw new ContractException(field, $"'{value}' is not a whole number, and '{feature.Name}' holds ids");
                if (feature.Kind == FeatureKind.Vocabulary && !feature.Vocabulary.ContainsKey(id))
                    throw new ContractException(field, $"'{value}' is not in the vocabulary of '{feature.Name}'; one of {string.Join(", ", feature.Vocabulary.Keys.Order().Take(20))}");
                var row = feature.Row(id);
                return (batch, of) =>
                {
                    var tableRows = rows(batch).TableRows(k);
                    for (var i = 0; i < of.Length; i++)
                        of[i] = tableRows[Row(batch, i)] == row;
                };
        }

        // A user has one row for all its candidates.
        int Row(FeatureBatch batch, int i) => isUser ? (int)batch.RowOf[i] : i;
    }
}
