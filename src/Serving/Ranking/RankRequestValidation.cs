using System.Text;
using Grpc.Core;
using KdServing.Contracts;
using KdServing.Serving.Models;

namespace KdServing.Serving.Ranking;

/// <summary>Checks a request before any work is done for it. Columns are checked where they are decoded.</summary>
internal static class RankRequestValidation
{
    private const int MaxRequestIdBytes = 128;

    /// <summary>What can be said without a version.</summary>
    /// <exception cref="ContractException">A field is out of its range.</exception>
    /// <exception cref="RpcException">NOT_FOUND: another model's request.</exception>
    public static void Require(RankRequest request, string model, RankingLimits limits)
    {
        if (request.RequestId.Length > MaxRequestIdBytes || Encoding.UTF8.GetByteCount(request.RequestId) > MaxRequestIdBytes)
            throw new ContractException("request_id", $"is longer than {MaxRequestIdBytes} bytes");
        if (request.Model.Length > 0)
        {
            Identifier.Require(request.Model, "model");
            if (request.Model != model)
                throw new RpcException(new(StatusCode.NotFound, $"model: this server has no model '{request.Model}'; it serves '{model}'"));
        }
        if (request.Version < 0)
            throw new ContractException("version", $"is {request.Version}; must be 0 (newest) or a version");
        if (request.CandidateCount < 1 || request.CandidateCount > limits.MaxCandidates)
            throw new ContractException("candidate_count", $"is {request.CandidateCount}; must be 1 to {limits.MaxCandidates}");
        if (request.TopK < 0 || request.TopK > request.CandidateCount)
            throw new ContractException("top_k", $"is {request.TopK}; must be 0 (all) to candidate_count ({request.CandidateCount})");
    }

    /// <summary>What depends on the version that will score it.</summary>
    /// <exception cref="ContractException">A target is unknown or named twice.</exception>
    /// <exception cref="RpcException">FAILED_PRECONDITION: pinned to another version, written for another schema, or by item ids
    /// where there is no catalog.</exception>
    public static void Require(RankRequest request, Servable servable)
    {
        if (request.Version != 0 && request.Version != servable.Version)
        {
            throw new RpcException(new(StatusCode.FailedPrecondition,
                $"version: {request.Version} is not loaded; version {servable.Version} is. Leave it 0 for the newest"));
        }
        if (request.SchemaFingerprint != 0 && request.SchemaFingerprint != servable.Schema.Fingerprint)
        {
            throw new RpcException(new(StatusCode.FailedPrecondition,
                $"schema_fingerprint: {request.SchemaFingerprint:x16} is not that of schema '{servable.Schema.Name}' ({servable.Schema.Fingerprint:x16}) "
                + $"of version {servable.Version}; use the schema.json the model was trained with"));
        }
        if (request.Catalog is not null && servable.Items is null)
        {
            throw new RpcException(new(StatusCode.FailedPrecondition,
                "catalog: this server has no item catalog (it was started without --catalog); send the items' features in 'item'"));
        }
        for (var t = 0; t < request.Targets.Count; t++)
        {
            if (IndexOf(servable.Schema.Targets, request.Targets[t]) < 0)
                throw new ContractException($"targets[{t}]", $"is unknown; targets: {string.Join(", ", servable.Schema.Targets)}");
            if (request.Targets.IndexOf(request.Targets[t]) < t)
                throw new ContractException($"targets[{t}]", "is named a second time");
        }
    }

    public static int IndexOf(IReadOnlyList<string> targets, string target)
    {
        for (var t = 0; t < targets.Count; t++)
        {
            if (targets[t] == target)
                return t;
        }
        return -1;
    }
}
