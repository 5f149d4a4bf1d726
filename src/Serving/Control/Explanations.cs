using KdServing.Contracts;
using KdServing.Serving.Models;
using KdServing.Serving.Ranking;

namespace KdServing.Serving.Control;

/// <summary>Tells of a sampled request which version scored it, which embedding rows its features became, and the order that came of it.</summary>
internal static class Explanations
{
    private const int DefaultTopK = 10;

    /// <param name="schema">Of the version that scored the request, or of one with the same features.</param>
    /// <param name="topK">Candidates to explain; 0: ten.</param>
    /// <exception cref="ContractException">The request does not fit the schema.</exception>
    public static Explanation Of(AnsweredRequest answered, FeatureSchema schema, long watermarkMs, int topK)
    {
        var request = answered.Request;
        var user = new Column[schema.User.Features.Count];
        ColumnReader.Match(request.User, "user", 1, [schema.User], user);
        var item = new Column[schema.Item.Features.Count + schema.Live.Features.Count];
        ColumnReader.Match(request.Item, "item", request.CandidateCount, [schema.Item, schema.Live], item);
        Feature[] itemFeatures = [.. schema.Item.Features, .. schema.Live.Features];

        var explanation = new Explanation
        {
            RequestId = request.RequestId,
            Version = answered.Version,
            WatermarkMs = watermarkMs,
            AnsweredAtMs = answered.AnsweredAtMs,
            Targets = { schema.Targets },
            User = { schema.User.Features.Select((f, k) => Hashed(f, schema, user[k], 1, row: 0)) },
        };
        var best = Best(answered.Logits, schema.Targets.Count, Math.Clamp(topK > 0 ? topK : DefaultTopK, 1, request.CandidateCount));
        for (var rank = 0; rank < best.Length; rank++)
        {
            var n = best[rank];
            explanation.Candidates.Add(new ExplainedCandidate
            {
                Index = n,
                Rank = rank + 1,
                Logits = { answered.Logits.Skip(n * schema.Targets.Count).Take(schema.Targets.Count) },
                Features = { itemFeatures.Select((f, k) => Hashed(f, schema, item[k], request.CandidateCount, n)) },
            });
        }
        return explanation;
    }

    private static int[] Best(float[] logits, int targets, int k)
    {
        float[] first = [.. logits.Where((_, i) => i % targets == 0)];
        var best = new int[k];
        TopK.Select(first, best);
        return best;
    }

    private static HashedFeature Hashed(Feature feature, FeatureSchema schema, Column column, int rows, int row)
    {
        var hashed = new HashedFeature { Feature = feature.Name };
        if (feature.Table >= 0)
            hashed.Table = schema.Tables[feature.Table].Name;
        switch (feature.Kind)
        {
            case FeatureKind.Numeric:
                var numbers = new float[rows];
                ColumnReader.ReadNumbers(feature, column, rows, numbers, 1);
                hashed.Value = numbers[row];
                break;
            case FeatureKind.Sequence:
                var start = column.Sequences.Lengths.Take(row).Sum();
                var used = Math.Min(column.Sequences.Lengths[row], feature.MaxLength);
                hashed.Rows.AddRange(Enumerable.Range(start, used).Select(i => feature.Row(column.Sequences.Value[i])));
                break;
            default:
                var tableRows = new int[rows];
                ColumnReader.ReadTableRows(feature, column, tableRows);
                hashed.Rows.Add(tableRows[row]);
                break;
        }
        return hashed;
    }
}
