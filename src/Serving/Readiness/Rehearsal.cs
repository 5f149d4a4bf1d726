using System.Diagnostics;
using System.Runtime;
using Grpc.Core;
using Grpc.Net.Client;
using KdServing.Serving.Connections;
using KdServing.Serving.Models;
using KdServing.Serving.Ranking;
using KdServing.Serving.Status;
using KdServing.Serving.Transport;

namespace KdServing.Serving.Readiness;

/// <summary>Before the first version serves: has it answer its sample requests through a server like ours, over a socket, until hardly anything is compiled any more.</summary>
/// <remarks>
/// .NET compiles a method quickly when it is first called, and well when it has been called thirty times, a tenth of a second later. The first
/// clients of a fresh server would wait for that, and be refused meanwhile (figures: ADR 28). What is compiled is the whole process's; the server
/// that rehearses has a gate, metrics and a listener of its own, so that nothing of it shows in ours.
/// </remarks>
/// <param name="limit">Time after which it is enough.</param>
internal sealed class Rehearsal(RankingModel model, RankingLimits limits, NicedThread thread, TimeSpan limit, ILogger<Rehearsal> log)
{
    // More than compute and wait, so that there is somebody to refuse.
    private const int InFlight = 16;
    private const int MostComputing = 4;
    private const int ShortLine = 2;
    // In each stage; from then on there is room for all, because a refusal costs the client in here more than an answer.
    private const int ToRefuse = 300;
    private const double RoomyQueueMs = 10;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan RefusedPause = TimeSpan.FromMilliseconds(1);

    // Code that is called often is compiled again in batches, each a tenth of a second after the last method was called for the first time.
    private static readonly TimeSpan Look = TimeSpan.FromMilliseconds(50);
    private const int QuietLooks = 6;
    private const int QuietMethods = 3;
    // Fewer say little: a method of which each request calls another branch takes many requests to be called thirty times.
    private const int MinAnswered = 2000;
    private const double ShareOfTaken = 0.6;

    /// <summary>Returns when this process is warm, or the limit is reached; nothing is under way then.</summary>
    /// <param name="servable">Serves nobody yet.</param>
    /// <exception cref="OperationCanceledException">The server stops.</exception>
    public async Task RunAsync(Servable servable, CancellationToken stopping)
    {
        var requests = SampleRequests.Of(servable, limits.MaxCandidates);
        if (requests.Count == 0)
            return;
        var started = Stopwatch.GetTimestamp();
        try
        {
            using var metrics = new RankingMetrics();
            var gate = new AdmissionGate(Math.Min(limits.Concurrency, MostComputing), RoomyQueueMs);
            await using var app = Build(servable, gate, metrics);
            await app.StartAsync(stopping);
            using var channel = GrpcChannel.ForAddress(app.Urls.Single());
            var (client, answered, refused, toRefuse) = (new Contracts.Ranking.RankingClient(channel), 0, 0, ToRefuse);
            using var warm = CancellationTokenSource.CreateLinkedTokenSource(stopping);
            var senders = Enumerable.Range(0, InFlight).Select(SendAsync).ToList();
            try
            {
                await UntilNothingIsCompiledAsync(() => Volatile.Read(ref answered) >= MinAnswered, limit * ShareOfTaken, stopping);
                // From here on calls are Kestrel's, as the first of a client are that has yet to do without a header table.
                app.Services.GetRequiredService<OpenCalls>().Close();
                var taken = Volatile.Read(ref answered);
                Volatile.Write(ref toRefuse, Volatile.Read(ref refused) + ToRefuse);
                await UntilNothingIsCompiledAsync(() => Volatile.Read(ref answered) - taken >= MinAnswered, limit - Stopwatch.GetElapsedTime(started), stopping);
            }
            finally
            {
                await warm.CancelAsync();
                await Task.WhenAll(senders);
            }
            log.Rehearsed(servable.Version, answered, refused, Stopwatch.GetElapsedTime(started).TotalSeconds);

            async Task SendAsync(int sender)
            {
                for (var i = sender; !warm.IsCancellationRequested; i++)
                {
                    gate.MaxQueueMs = Volatile.Read(ref refused) < Volatile.Read(ref toRefuse) ? ShortLine * gate.IntervalMs : RoomyQueueMs;
                    if (await IsAnsweredAsync(client, requests[i % requests.Count]))
                    {
                        Interlocked.Increment(ref answered);
                        continue;
                    }
                    Interlocked.Increment(ref refused);
                    await Task.Delay(RefusedPause, CancellationToken.None);
                }
            }
        }
        catch (Exception e)
        {
            stopping.ThrowIfCancellationRequested();
            // The version has passed its checks, and clients can do without a rehearsal.
            log.RehearsalFailed(e, servable.Version);
        }
        servable.Health.Restart();
        // A process's first collection takes all its caches along, some 20 ms: better now than under the first clients.
        GC.Collect();
    }

    private WebApplication Build(Servable servable, AdmissionGate gate, RankingMetrics metrics)
    {
        var slot = new ServableSlot();
        slot.Swap(servable);
        return LoopbackServer.Build(port: 0, gate, metrics, services => new RankingService(model, slot, limits, gate, services.GetRequiredService<GatheredSends>(),
            new RecentRequests(), new ShadowScoring(slot, thread), metrics, catalog: null, batcher: null, new OpenStreams(TimeSpan.Zero),
            services.GetRequiredService<IHostApplicationLifetime>(), services.GetRequiredService<ILogger<RankingService>>()));
    }

    private static async Task<bool> IsAnsweredAsync(Contracts.Ranking.RankingClient client, Contracts.RankRequest request)
    {
        try
        {
            await client.RankAsync(request, deadline: DateTime.UtcNow + Patience);
            return true;
        }
        catch (RpcException e) when (e.StatusCode == StatusCode.ResourceExhausted)
        {
            return false;
        }
    }

    private static async Task UntilNothingIsCompiledAsync(Func<bool> isEnough, TimeSpan limit, CancellationToken stopping)
    {
        var (started, compiled, quiet) = (Stopwatch.GetTimestamp(), JitInfo.GetCompiledMethodCount(), 0);
        while (!(quiet >= QuietLooks && isEnough()) && Stopwatch.GetElapsedTime(started) < limit)
        {
            await Task.Delay(Look, stopping);
            var now = JitInfo.GetCompiledMethodCount();
            quiet = now - compiled <= QuietMethods ? quiet + 1 : 0;
            compiled = now;
        }
    }
}
