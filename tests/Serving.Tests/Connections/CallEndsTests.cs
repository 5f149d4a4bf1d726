using System.IO.Pipelines;
using System.Reflection;
using Google.Protobuf;
using Grpc.Core;
using KdServing.Serving.Connections;
using KdServing.Serving.Models;
using KdServing.Serving.Ranking;
using KdServing.Serving.Status;
using KdServing.Serving.Transport;
using KdServing.Serving.Wire;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Options;

namespace KdServing.Serving.Tests.Connections;

/// <summary>A taken call ends once, however its end and its client's meet.</summary>
public sealed class CallEndsTests : IDisposable
{
    private const int Stream = 1;

    private static readonly byte[] Message = WireFrames.Message(new Contracts.RankRequest { RequestId = "r" }.ToByteArray());

    private readonly RankingMetrics metrics = new();
    private readonly RankingThreads threads = new(count: 1);
    private readonly OpenCalls openCalls = new(Options.Create(new HostOptions()));
    private readonly HeldEndpoint endpoint = new();
    private readonly TakenCalls calls;

    public CallEndsTests()
    {
        var gate = new AdmissionGate(concurrency: 1, maxQueueMs: 1000);
        var output = new ConnectionOutput(new Pipe().Writer, openCalls, new(gate), new());
        calls = new(endpoint, new(gate, metrics), openCalls, output, metrics, threads);
    }

    public void Dispose()
    {
        threads.Dispose();
        metrics.Dispose();
    }

    // Whoever ranks may see the cancellation on the thread that cancels.
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task One_that_ends_while_it_is_cancelled_ends_once(bool isConnectionEnd)
    {
        await BeginAsync();
        // On a thread without xunit's context, in which nothing goes on where it is completed.
        await Task.Run(() =>
        {
            if (isConnectionEnd)
                calls.CancelAll();
            else
                Assert.True(calls.Cancel(Stream));
        });
        Assert.False(calls.Has(Stream));
        Assert.Equal(0, openCalls.Count);
        // Its object is free for another call, once: more than are pooled are all different.
        var others = Enumerable.Range(0, 300).Select(i => TakenCall.Rent(calls, 2 * i + 3, timeout: null)).ToList();
        Assert.Equal(others.Count, others.Distinct().Count());
        Assert.DoesNotContain(others, call => call.IsCancelled);
    }

    [Fact]
    public async Task Bytes_behind_a_requests_end_are_not_part_of_it()
    {
        await BeginAsync();
        Assert.Empty(calls.Append(Stream, new(Message), Message.Length, ends: true, out var credit));
        Assert.Equal(0, credit);
        Assert.Equal(1, endpoint.Begun);
        endpoint.Answer();
        await Eventually.HoldsAsync(() => !calls.Has(Stream) && openCalls.Count == 1, "its reply waits for Kestrel's first word");
        // Nor are they once it has ended.
        Assert.Empty(calls.Append(Stream, new(Message), Message.Length, ends: true, out _));
        Assert.Equal(1, endpoint.Begun);
    }

    private async Task BeginAsync()
    {
        Assert.True(calls.TryBegin(Stream, timeout: null));
        Assert.Empty(calls.Append(Stream, new(Message), Message.Length, ends: true, out _));
        await Eventually.HoldsAsync(() => endpoint.IsAwaited, "it is being ranked");
    }

    /// <summary>Ranks until it is told, and ends on the thread that tells it.</summary>
    private sealed class HeldEndpoint : RankingEndpoint
    {
        // Only what is awaited goes on where it is completed, and nothing public tells that it is.
        private static readonly FieldInfo Continuation = typeof(Task).GetField("m_continuationObject", BindingFlags.NonPublic | BindingFlags.Instance)!;

        private readonly TaskCompletionSource<RankedReply> answer = new();
        private int begun;

        public int Begun => Volatile.Read(ref begun);

        public bool IsAwaited => Continuation.GetValue(answer.Task) is not null;

        public void Answer() => answer.SetResult(RankedReply.Rent());

        public override Task<RankedReply> RankAsync(RankCall request, CallBudget budget)
        {
            request.Return();
            budget.Cancellation.Register(() => answer.TrySetException(new RpcException(new(StatusCode.Cancelled, "cancelled"))));
            Interlocked.Increment(ref begun);
            return answer.Task;
        }

        public override Task RankStream(IAsyncStreamReader<RankCall> requestStream, IServerStreamWriter<RankedReply> responseStream, ServerCallContext context) =>
            throw new NotSupportedException();
    }
}
