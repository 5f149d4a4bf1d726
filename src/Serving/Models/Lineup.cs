using KdServing.Contracts;

namespace KdServing.Serving.Models;

/// <summary>The loaded versions and who gets which: one immutable picture, exchanged whole.</summary>
/// <param name="Current">In service; null before the first version.</param>
/// <param name="Previous">In service before, still warm: what a rollback returns to, and who answers when the current one fails.</param>
/// <param name="Candidate">A canary, or a version that is only scored in shadow.</param>
/// <param name="CandidateShare">Share of the requests the candidate answers, 0 to 1.</param>
/// <param name="ShadowShare">Share of the requests it also scores beside the request's path, 0 to 1.</param>
public sealed record Lineup(Servable? Current, Servable? Previous = null, Servable? Candidate = null, double CandidateShare = 0, double ShadowShare = 0)
{
    // So that who is in the canary does not decide who is in the shadow.
    private const ulong ShadowSeed = 0x5348_4144_4F57;

    public static Lineup Empty { get; } = new((Servable?)null);

    /// <summary>Loaded versions, the one in service first.</summary>
    public IEnumerable<Servable> Loaded => new[] { Current, Previous, Candidate }.OfType<Servable>();

    /// <summary>Who scores a request: the version it asks for if that is loaded, else the canary or the current one, by the hash of its id.</summary>
    /// <returns>Null before the first version. Never another version than asked for only because that one is not loaded: who scores checks.</returns>
    public Servable? Choose(RankRequest request)
    {
        if (request.Version != 0)
            return Find(request.Version) ?? Current;
        return Candidate is not null && IsIn(CandidateShare, request.RequestId, seed: 0) ? Candidate : Current;
    }

    /// <summary>The loaded version of a number; null when it is not loaded.</summary>
    public Servable? Find(long version) =>
        Current?.Version == version ? Current : Previous?.Version == version ? Previous : Candidate?.Version == version ? Candidate : null;

    /// <summary>True when the candidate scores this request in shadow.</summary>
    public bool IsShadowed(RankRequest request) => Candidate is not null && IsIn(ShadowShare, request.RequestId, ShadowSeed);

    // A request without an id has nothing to be chosen by: it stays with the current version.
    private static bool IsIn(double share, string requestId, ulong seed) =>
        share > 0 && requestId.Length > 0
        && (FeatureHash.Mix((ulong)FeatureHash.StringId(requestId) ^ seed) >> 11) * (1.0 / (1L << 53)) < share;
}
