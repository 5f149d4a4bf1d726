using KdServing.Contracts;
using KdServing.Datasets;

namespace KdServing.LoadTests.Traffic;

/// <summary>Ranking requests of random values for a schema, where no data is at hand. Scores mean nothing, costs do.</summary>
/// <remarks>
/// Ids are uniform over four times a table's rows, so that every row is met and none is favoured by a cache; what a real log repeats is
/// cheaper than this. Sequences are half full.
/// </remarks>
public sealed class RandomRequests(FeatureSchema schema, RequestOptions options)
{
    private const int IdsPerRow = 4;

    private readonly Random _random = new(options.Seed);
    private long _requests;

    public RankRequest Next()
    {
        var request = new RankRequest
        {
            RequestId = $"rank-{options.Seed}-{++_requests}",
            Model = options.Model,
            SchemaFingerprint = options.SchemaFingerprint,
            CandidateCount = options.Candidates,
        };
        request.User.AddRange(schema.User.Features.Select(f => Values(f, 1)));
        request.Item.AddRange(schema.Item.Features.Concat(schema.Live.Features).Select(f => Values(f, options.Candidates)));
        return request;
    }

    private Column Values(Feature feature, int rows)
    {
        switch (feature.Kind)
        {
            case FeatureKind.Numeric:
                return Columns.OfFloats(feature.Name, [.. Enumerable.Range(0, rows).Select(_ => _random.NextSingle())]);
            case FeatureKind.Sequence:
                var length = (feature.MaxLength + 1) / 2;
                var sequences = new Int64Sequences();
                for (var r = 0; r < rows; r++)
                {
                    sequences.Lengths.Add(length);
                    for (var i = 0; i < length; i++)
                        sequences.Value.Add(Id(feature));
                }
                return new() { Name = feature.Name, Sequences = sequences };
            default:
                return Columns.OfInts(feature.Name, [.. Enumerable.Range(0, rows).Select(_ => Id(feature))]);
        }
    }

    private long Id(Feature feature) => _random.NextInt64((long)IdsPerRow * feature.Buckets);
}
