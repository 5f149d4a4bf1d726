using KdServing.Contracts;
using KdServing.Serving.Kernels;
using KdServing.Serving.Wire;

namespace KdServing.Serving.Models;

/// <summary>Turns a request's message into table rows and floats; reads every form there is, and names every error.</summary>
/// <remarks>What <see cref="RankCallDecoder"/> does not read of a call's bytes comes here. Immutable; any thread.</remarks>
/// <param name="tables">In the order of <see cref="FeatureSchema.Tables"/>.</param>
internal sealed class RankRequestDecoder(FeatureSchema schema, IReadOnlyList<EmbeddingTable> tables)
{
    private readonly FeatureAssembler assembler = new(schema, tables);
    private readonly FeatureGroup[] userGroups = [schema.User];
    private readonly FeatureGroup[] itemGroups = [schema.Item, schema.Live];
    private readonly FeatureGroup[] liveGroups = [schema.Live];
    private readonly int userFeatures = schema.User.Features.Count;
    private readonly int itemFeatures = schema.Item.Features.Count;
    private readonly int liveFeatures = schema.Live.Features.Count;

    /// <summary>All columns of a request into a run, which is made as large.</summary>
    /// <param name="hasVectors">Item vectors are known: only live and cross features are sent.</param>
    /// <exception cref="ContractException">A column is missing, unknown, or of another type or length; a value is not finite.</exception>
    public void Read(RankRequest request, ScoringRun run, bool hasVectors)
    {
        var (groups, columns, first) = hasVectors ? (liveGroups, liveFeatures, itemFeatures) : (itemGroups, itemFeatures + liveFeatures, 0);
        run.Resize(request.CandidateCount, Math.Max(userFeatures, columns));
        var found = run.Buffers.Found.AsSpan();
        try
        {
            ColumnReader.Match(request.User, "user", 1, userGroups, found[..userFeatures]);
            assembler.AssembleUser(found[..userFeatures], run.User);
            ColumnReader.Match(request.Item, "item", request.CandidateCount, groups, found[..columns]);
            Read(groups, found, first, request.CandidateCount, run.Columns);
        }
        finally
        {
            // Idle buffers must not keep a request alive.
            found.Clear();
        }
    }

    private void Read(FeatureGroup[] groups, ReadOnlySpan<Column> found, int firstFeature, int candidates, CandidateColumns columns)
    {
        var c = 0;
        foreach (var group in groups)
        {
            // By index: the enumerator of a list behind an interface is an object.
            for (var i = 0; i < group.Features.Count; i++)
            {
                var feature = group.Features[i];
                var k = firstFeature + c;
                if (feature.Kind == FeatureKind.Numeric)
                    ColumnReader.ReadNumbers(feature, found[c], candidates, columns.Floats(k, candidates), stride: 1);
                else if (feature.Kind == FeatureKind.Sequence)
                    assembler.AssembleSequences(feature, found[c], candidates, columns.Floats(k, candidates));
                else
                    ColumnReader.ReadTableRows(feature, found[c], columns.Rows(k, candidates));
                c++;
            }
        }
    }
}
