using System.Diagnostics;
using Google.Protobuf;
using Grpc.Core;
using KdServing.Contracts;
using KdServing.Serving.Models;

namespace KdServing.Serving.Control;

/// <summary>The <c>ModelControl</c> service: what <c>kd models --control</c> and other tools command a server with.</summary>
public sealed class ModelControlService(string model, VersionShelf shelf, ServableSlot slot, Rollout rollout, ModelSource source, ShadowScoring shadow,
    RecentRequests recent, ControlAccess access, ILogger<ModelControlService> log) : ModelControl.ModelControlBase
{
    private static readonly TimeSpan LoadPatience = TimeSpan.FromMinutes(2);

    public override Task<ServerVersions> List(ListVersionsRequest request, ServerCallContext context) => Answer(context, null, Versions);

    public override Task<VersionDetail> Show(ShowVersionRequest request, ServerCallContext context) => Answer(context, null, () =>
    {
        var version = request.Version != 0 ? request.Version : slot.Current?.Version ?? throw NotLoaded();
        return new VersionDetail
        {
            Manifest = ByteString.CopyFrom(shelf.Where(version).SealedManifest(model, version).Manifest),
            Role = Role(version),
            Problem = Problem(version),
        };
    });

    public override Task<ServerVersions> Pin(PinVersionRequest request, ServerCallContext context) => AnswerAsync(context, $"pin {request.Version}", async () =>
    {
        RequirePresent(request.Version);
        var before = rollout.State;
        source.Forgive(request.Version);
        rollout.Pin(request.Version);
        if (await ComesAsync(request.Version, () => slot.Current?.Version == request.Version, context.CancellationToken) is not { } refusal)
            return Versions();
        // A pin that can not be met would keep newer versions out for nothing.
        if (before.Pinned == 0)
            rollout.Unpin();
        else
            rollout.Pin(before.Pinned);
        throw new RpcException(new(StatusCode.FailedPrecondition, $"version: {request.Version} is not served: {refusal}"));
    });

    public override Task<ServerVersions> Unpin(UnpinVersionRequest request, ServerCallContext context) => Answer(context, "unpin", () =>
    {
        rollout.Unpin();
        return Versions();
    });

    public override Task<RollbackReply> Rollback(RollbackRequest request, ServerCallContext context)
    {
        var started = Stopwatch.GetTimestamp();
        return Answer(context, $"rollback: {request.Reason}", () =>
        {
            var reason = request.Reason.Length == 0 ? "asked for by a person" : request.Reason;
            if (!rollout.TryRollback(reason, automatic: false, out var done))
                throw new RpcException(new(StatusCode.FailedPrecondition, "no version before is warm; pin the one you want instead (List tells which are present)"));
            return new RollbackReply { From = done.From, To = done.To, TookMs = Stopwatch.GetElapsedTime(started).TotalMilliseconds };
        });
    }

    public override Task<ServerVersions> Hold(HoldRequest request, ServerCallContext context) => Answer(context, request.Release ? "release" : "hold", () =>
    {
        rollout.Hold(!request.Release, request.Reason.Length == 0 ? "asked for by a person" : request.Reason);
        return Versions();
    });

    public override Task<ServerVersions> Canary(CanaryRequest request, ServerCallContext context) => AnswerAsync(context, $"canary {request.Version}", async () =>
    {
        if (request.Promote)
        {
            if (!rollout.Promote())
                throw new RpcException(new(StatusCode.FailedPrecondition, "there is no canary to promote"));
            return Versions();
        }
        if (request.Version == 0)
        {
            rollout.Canary(null);
            return Versions();
        }
        RequireShare(request.Share, "share");
        RequireShare(request.ShadowShare, "shadow_share");
        if (!(request.Seconds >= 0 && request.Seconds <= TimeSpan.FromDays(30).TotalSeconds))
            throw new ContractException("seconds", "must be 0 (until a person decides) to 30 days");
        RequirePresent(request.Version);
        if (slot.Current is not { } current)
            throw NotLoaded();
        if (current.Version == request.Version)
            throw new ContractException("version", $"{request.Version} is in service already");
        source.Forgive(request.Version);
        rollout.Canary(new(request.Version, request.Share, request.ShadowShare, TimeSpan.FromSeconds(request.Seconds)));
        if (await ComesAsync(request.Version, () => slot.Lineup.Candidate?.Version == request.Version, context.CancellationToken) is { } refusal)
            throw new RpcException(new(StatusCode.FailedPrecondition, $"version: {request.Version} is no canary: {refusal}"));
        return Versions();
    });

    public override Task<VersionDifference> Diff(DiffVersionsRequest request, ServerCallContext context) => Answer(context, null, () =>
    {
        RequirePresent(request.From);
        RequirePresent(request.To);
        return VersionComparison.Of(model, (shelf.Where(request.From), request.From), (shelf.Where(request.To), request.To));
    });

    public override Task<Explanation> Explain(ExplainRequest request, ServerCallContext context) => Answer(context, null, () =>
    {
        if (request.RequestId.Length == 0)
            return new Explanation { SampledIds = { recent.Take().Select(a => a.Request.RequestId).Where(i => i.Length > 0) } };
        var answered = recent.Find(request.RequestId)
            ?? throw new RpcException(new(StatusCode.NotFound, $"request_id: '{request.RequestId}' is not among the requests sampled; an empty id lists them"));
        var servable = slot.Lineup.Find(answered.Version) ?? slot.Current ?? throw NotLoaded();
        return Explanations.Of(answered, servable.Schema, slot.Lineup.Find(answered.Version)?.Manifest.WatermarkMs ?? 0, request.TopK);
    });

    // Waits until a version is where it should be; what was said against it, or null.
    private async Task<string?> ComesAsync(long version, Func<bool> isThere, CancellationToken cancelled)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancelled);
        patience.CancelAfter(LoadPatience);
        while (true)
        {
            var changed = rollout.Changed;
            if (isThere())
                return null;
            if (source.Refused.TryGetValue(version, out var refusal))
                return refusal;
            try
            {
                await changed.WaitAsync(patience.Token);
            }
            catch (OperationCanceledException) when (!cancelled.IsCancellationRequested)
            {
                return "it is still loading";
            }
        }
    }

    private ServerVersions Versions()
    {
        var (now, state, report) = (slot.Lineup, rollout.State, shadow.Report);
        return new()
        {
            Model = model,
            Current = now.Current?.Version ?? 0,
            Previous = now.Previous?.Version ?? 0,
            Candidate = now.Candidate?.Version ?? 0,
            CandidateShare = now.CandidateShare,
            ShadowShare = now.ShadowShare,
            Pinned = state.Pinned,
            Held = state.Held,
            HeldReason = state.HeldReason,
            Shadow = new() { Requests = report.Requests, MeanChurn = report.MeanChurn },
            Versions = { shelf.Known().Union(now.Loaded.Select(s => s.Version)).Order().Select(Summary) },
        };
    }

    private VersionSummary Summary(long version)
    {
        var loaded = slot.Lineup.Find(version);
        var manifest = loaded?.Manifest ?? shelf.Where(version).TryManifest(model, version);
        var summary = manifest is null ? new VersionSummary { Version = version } : VersionSummaries.Of(manifest);
        summary.Role = Role(version);
        summary.Problem = Problem(version);
        if (manifest is null && summary.Problem.Length == 0)
            summary.Problem = "its manifest can not be read";
        if (loaded is not null)
            (summary.Answered, summary.Failed) = (loaded.Health.Answered, loaded.Health.Failed);
        return summary;
    }

    private string Role(long version)
    {
        var now = slot.Lineup;
        return version == now.Current?.Version ? "current" : version == now.Previous?.Version ? "previous"
            : version == now.Candidate?.Version ? "candidate" : "present";
    }

    private string Problem(long version) => rollout.State.Rejected.TryGetValue(version, out var rejected) ? $"rolled back: {rejected}"
        : source.Refused.GetValueOrDefault(version, "");

    private void RequirePresent(long version)
    {
        if (version <= 0 || (slot.Lineup.Find(version) is null && !shelf.Versions().Contains(version)))
            throw new RpcException(new(StatusCode.NotFound, $"version: there is no version {version} of '{model}' here; List tells which there are"));
    }

    private static void RequireShare(double share, string field)
    {
        if (!(share >= 0 && share <= 1))
            throw new ContractException(field, $"is {share}; must be 0 to 1");
    }

    private static RpcException NotLoaded() => new(new(StatusCode.FailedPrecondition, "no version is in service yet"));

    private Task<T> Answer<T>(ServerCallContext context, string? command, Func<T> answer) => AnswerAsync(context, command, () => Task.FromResult(answer()));

    private async Task<T> AnswerAsync<T>(ServerCallContext context, string? command, Func<Task<T>> answer)
    {
        access.Require(context);
        if (command is not null)
            log.Commanded(command, context.Peer);
        try
        {
            return await answer();
        }
        catch (ContractException e)
        {
            throw new RpcException(new(StatusCode.InvalidArgument, e.Message));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new RpcException(new(StatusCode.Unavailable, $"the disk refuses: {e.Message}"));
        }
    }
}
