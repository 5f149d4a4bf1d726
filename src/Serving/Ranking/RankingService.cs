using System.Diagnostics;
using System.Globalization;
using Grpc.Core;
using KdServing.Contracts;
using KdServing.Serving.Catalog;
using KdServing.Serving.Models;
using KdServing.Serving.Status;
using KdServing.Serving.Wire;
using Microsoft.ML.OnnxRuntime;

namespace KdServing.Serving.Ranking;

/// <summary>The <c>Ranking</c> service: validate, acquire, score, select, reply.</summary>
public sealed class RankingService(RankingModel model, ServableSlot slot, RankingLimits limits, AdmissionGate gate, GatheredSends gathered,
    RecentRequests recent, ShadowScoring shadow, RankingMetrics metrics, ItemCatalog? catalog, RequestBatcher? batcher, OpenStreams streams, IHostApplicationLifetime lifetime, ILogger<RankingService> log) : RankingEndpoint
{
    public override Task<RankedReply> RankAsync(RankCall request, CallBudget budget)
    {
        gate.Arrived();
        return AnswerAsync(request, budget);
    }

    public override async Task RankStream(IAsyncStreamReader<RankCall> requestStream, IServerStreamWriter<RankedReply> responseStream,
        ServerCallContext context)
    {
        var budget = new CallBudget(context.Deadline, context.CancellationToken);
        using var stopping = CancellationTokenSource.CreateLinkedTokenSource(context.CancellationToken, lifetime.ApplicationStopping);
        var endedByStop = false;
        streams.Enter();
        try
        {
            while (await requestStream.MoveNext(stopping.Token))
                await responseStream.WriteAsync(await AnswerAsync(requestStream.Current, budget));
        }
        catch (Exception) when (lifetime.ApplicationStopping.IsCancellationRequested && !context.CancellationToken.IsCancellationRequested)
        {
            endedByStop = true;
            throw new RpcException(new(StatusCode.Unavailable, "the server is stopping; open the stream again elsewhere"));
        }
        finally
        {
            if (!endedByStop)
                streams.Leave();
        }
    }

    private async Task<RankedReply> AnswerAsync(RankCall call, CallBudget budget)
    {
        var request = call.Header;
        var started = Stopwatch.GetTimestamp();
        var code = StatusCode.OK;
        var choice = BatchChoice.Never;
        try
        {
            if (call.IsMalformed)
                throw new ContractException("request", "is not a RankRequest message");
            RankRequestValidation.Require(request, model.Name, limits);
            budget.ThrowIfSpent();
            if (batcher is not null)
            {
                RankedReply? reply;
                (choice, reply) = await TryScoreTogetherAsync(batcher, call, budget);
                if (reply is not null)
                    return reply;
                budget.ThrowIfSpent();
            }
            await gate.EnterAsync(budget.RemainingMs);
            long? entered = null;
            try
            {
                var (waiting, isCrowded) = gate.Line;
                gathered.SendDue(isCrowded);
                LetOthersIn(waiting, isCrowded);
                budget.ThrowIfSpent();
                entered = Stopwatch.GetTimestamp();
                return Score(call, budget);
            }
            finally
            {
                gate.Leave(entered);
            }
        }
        catch (Exception e)
        {
            var failure = Failure(e);
            code = failure.StatusCode;
            throw failure;
        }
        finally
        {
            var elapsed = Stopwatch.GetElapsedTime(started);
            metrics.Answered(code, request.CandidateCount, elapsed);
            if (choice != BatchChoice.Never && code == StatusCode.OK)
                batcher!.Answered(choice == BatchChoice.Together, elapsed);
            call.Return();
        }
    }

    // A longer line is there for throughput: every switch costs all who stand in it. One that is full costs those who are refused.
    private void LetOthersIn(int waiting, bool isCrowded)
    {
        if (waiting <= limits.Concurrency)
            CoreSharing.LetOthersIn(CoreSharing.Interval);
        else if (isCrowded)
            CoreSharing.LetOthersIn(CoreSharing.CrowdedInterval);
    }

    /// <returns>No reply: the request is to go by itself.</returns>
    private async ValueTask<(BatchChoice Choice, RankedReply? Reply)> TryScoreTogetherAsync(RequestBatcher batcher, RankCall call, CallBudget budget)
    {
        if (!slot.TryAcquire(call.Header, out var lease))
            return (BatchChoice.Never, null);
        using (lease)
        {
            var servable = lease.Servable;
            RankRequestValidation.Require(call.Header, servable);
            var choice = batcher.Choose(call.Header, servable);
            if (choice != BatchChoice.Together)
                return (choice, null);
            var run = servable.Rent();
            try
            {
                // Before it joins: what can not be read is refused by itself.
                servable.Decode(call, run);
                return (choice, await batcher.TryScoreAsync(servable, run, budget) ? Reply(call, servable, run) : null);
            }
            finally
            {
                servable.Return(run);
            }
        }
    }

    private RankedReply Score(RankCall call, in CallBudget budget)
    {
        if (!slot.TryAcquire(call.Header, out var lease))
            throw new RpcException(new(StatusCode.Unavailable, $"no version of model '{model.Name}' is loaded yet"));
        using (lease)
        {
            try
            {
                return Score(call, lease.Servable, budget);
            }
            // A new version that fails is no reason to fail the request while another one is warm; who fails too shows that it is the request.
            catch (Exception e) when (e is NonFiniteScoreException or OnnxRuntimeException && slot.TryAcquireInstead(lease.Servable, call.Header, out var other))
            {
                using (other)
                {
                    var reply = Score(call, other.Servable, budget);
                    if (lease.Servable.Health.CountFailure() == 1)
                        log.AnsweredByOther(lease.Servable.Version, other.Servable.Version, e.Message);
                    return reply;
                }
            }
        }
    }

    private RankedReply Score(RankCall call, Servable servable, in CallBudget budget)
    {
        RankRequestValidation.Require(call.Header, servable);
        var run = servable.Rent();
        try
        {
            if (call.Header.Catalog is not null)
                return ScoreCatalog(call, servable, run, budget);
            servable.Score(call, run, budget);
            return Reply(call, servable, run);
        }
        finally
        {
            servable.Return(run);
        }
    }

    private RankedReply Reply(RankCall call, Servable servable, ScoringRun run)
    {
        servable.Health.CountAnswer();
        recent.Offer(call, servable, run);
        shadow.Offer(call);
        return RankReplies.From(call.Header, servable, run, model.Name, []);
    }

    private RankedReply ScoreCatalog(RankCall call, Servable servable, ScoringRun run, in CallBudget budget)
    {
        var request = call.Header;
        var lookup = catalog!.Rent();
        try
        {
            lookup.Resolve(servable.Items!, call, budget);
            if (lookup.IsOnDevice && !servable.TryScoreOnDevice(call, lookup.Vectors, lookup.Format, run, budget))
                lookup.Resolve(servable.Items!, call, budget);
            if (!lookup.IsOnDevice)
                servable.Score(call, lookup.Vectors, lookup.Format, run, budget);
            servable.Health.CountAnswer();
            var excluded = request.Catalog.Unknown == UnknownItems.Report ? lookup.Unknown : [];
            run.Exclude(excluded);
            return RankReplies.From(request, servable, run, model.Name, excluded);
        }
        finally
        {
            catalog.Return(lookup);
        }
    }

    // What is told names the field and the remedy; what went wrong inside goes to the log.
    private RpcException Failure(Exception e)
    {
        switch (e)
        {
            case RpcException rpc:
                return rpc;
            case ContractException contract:
                return new(new(StatusCode.InvalidArgument, contract.Message));
            case TimeoutException:
                return new(new(StatusCode.DeadlineExceeded, "the deadline passed before the answer was ready"));
            case OperationCanceledException:
                return new(new(StatusCode.Cancelled, "the caller cancelled"));
            case OverloadException overload:
                var pushback = Math.Ceiling(overload.ExpectedMs).ToString(CultureInfo.InvariantCulture);
                return new(new(StatusCode.ResourceExhausted, overload.Message), new Metadata { { OverloadException.PushbackTrailer, pushback } });
            case NonFiniteScoreException or OnnxRuntimeException:
                log.ScoringFailed(e, slot.Current?.Version ?? 0);
                return new(new(StatusCode.Internal, "the model could not score this request; the server's log says why"));
            default:
                log.RequestFailed(e);
                return new(new(StatusCode.Internal, "the server failed; its log says why"));
        }
    }
}

/// <summary>The one model this server ranks with.</summary>
public sealed record RankingModel(string Name);
