using Google.Protobuf;
using StackExchange.Redis;

namespace KdServing.Contracts.Tests.Streams;

public sealed class LogitStreamTests(RedisServer redis) : IClassFixture<RedisServer>
{
    // A model of its own for each test: streams do not mix.
    private readonly string model = $"m{Guid.NewGuid():n}";

    private LogitStreamReader Reader => new(redis.Database, model, SampleRecord.Schema);

    [Fact]
    public async Task Records_come_back_in_order_from_any_position()
    {
        var writer = new LogitStreamWriter(redis.Database, model, "producer", SampleRecord.Schema);
        var ids = new List<StreamId>();
        for (var i = 1; i <= 10; i++)
            ids.Add(await writer.WriteAsync(SampleRecord.Make(i)));

        var first = await Reader.ReadAsync(StreamId.Zero, 4);
        var rest = await Reader.ReadAsync(first[^1].Id, 100);

        Assert.Equal(ids, first.Concat(rest).Select(e => e.Id));
        Assert.All(first.Concat(rest), e => Assert.Null(e.Fault));
        Assert.Equal(Enumerable.Range(1, 10).Select(i => (ulong)i), first.Concat(rest).Select(e => e.Record!.Sequence));
        var expected = SampleRecord.Make(7);
        expected.ProducerId = "producer";
        Assert.Equal(expected, rest[2].Record);
        Assert.Empty(await Reader.ReadAsync(ids[^1], 100));
        Assert.Equal((ids[^1], 10), await Reader.TailAsync());
        Assert.Equal(ids[0], await Reader.OldestAsync());
        Assert.Equal(10, writer.Written);
    }

    [Fact]
    public async Task An_empty_stream_is_no_error()
    {
        Assert.Empty(await Reader.ReadAsync(StreamId.Zero, 10));
        Assert.Equal((StreamId.Zero, 0), await Reader.TailAsync());
        Assert.Null(await Reader.OldestAsync());
    }

    [Fact]
    public async Task A_malformed_entry_is_a_fault_with_its_reason_and_whoever_wrote_it()
    {
        var valid = SampleRecord.Make().ToByteArray();
        var wrongSchema = SampleRecord.Make(9);
        wrongSchema.SchemaFingerprint = 1;
        RedisValue[][] entries =
        [
            ["v", "1", "r", "not a protobuf", "p", "someone", "s", "77"],
            ["v", "1", "p", "someone", "s", "many"],
            ["v", "2", "r", valid],
            ["r", valid],
            ["x", "y"],
            ["v", "1", "r", wrongSchema.ToByteArray()],
            ["v", "1", "r", valid[..^1]],
            ["v", "1", "r", valid],
        ];
        foreach (var entry in entries)
            await redis.Database.ExecuteAsync("XADD", [new StreamKeys(model).Logits, "*", .. entry]);

        var read = await Reader.ReadAsync(StreamId.Zero, 100);

        Assert.Equal(["r", "r", "v", "v", "v", "schema_fingerprint", "r", null], read.Select(e => e.Fault?.Field));
        Assert.Equal(SampleRecord.Make(), read[^1].Record);
        Assert.Equal(("someone", 77UL), read[0].Origin);
        Assert.Null(read[1].Origin);
        Assert.Equal(("p", 9UL), read[5].Origin);
        Assert.Equal(read.Skip(2).Take(3).Select(e => e.Id), (await Reader.ReadRangeAsync(read[1].Id, read[4].Id)).Select(e => e.Id));
    }

    [Fact]
    public async Task A_record_that_breaks_the_schema_is_not_written_and_costs_no_sequence()
    {
        var writer = new LogitStreamWriter(redis.Database, model, "p", SampleRecord.Schema);
        await writer.WriteAsync(SampleRecord.Make());
        var broken = SampleRecord.Make();
        broken.CandidateCount = 2;

        await Assert.ThrowsAsync<ContractException>(() => writer.WriteAsync(broken));
        await writer.WriteAsync(SampleRecord.Make());

        Assert.Equal([1UL, 2UL], (await Reader.ReadAsync(StreamId.Zero, 10)).Select(e => e.Record!.Sequence));
    }

    [Fact]
    public async Task Repeats_and_gaps_are_seen_by_the_reader()
    {
        foreach (var sequence in (int[])[1, 2, 2, 5])
        {
            var record = SampleRecord.Make(sequence);
            await redis.Database.ExecuteAsync("XADD", new StreamKeys(model).Logits, "*", "v", "1", "r", record.ToByteArray());
        }
        var sequences = new ProducerSequences();

        var verdicts = (await Reader.ReadAsync(StreamId.Zero, 10)).Select(e => sequences.Observe(e.Record!)).ToArray();

        Assert.Equal([SequenceVerdict.Next, SequenceVerdict.Next, SequenceVerdict.Repeat, SequenceVerdict.AfterGap], verdicts);
        Assert.Equal((2, 1), (sequences.Missing, sequences.Repeats));
    }

    [Fact]
    public async Task A_full_stream_makes_the_writer_wait_and_loses_nothing()
    {
        var key = new StreamKeys(model).Logits;
        for (var i = 0; i < 5; i++)
            await redis.Database.ExecuteAsync("XADD", key, "*", "old", i);
        var writer = new LogitStreamWriter(redis.Database, model, "p", SampleRecord.Schema, new() { MaxStreamLength = 5 });

        var write = writer.WriteAsync(SampleRecord.Make());
        await Eventually.HoldsAsync(() => writer.Waits > 0, "the writer waits for room");
        Assert.False(write.IsCompleted);
        await redis.Database.ExecuteAsync("XTRIM", key, "MAXLEN", 0);
        await write;

        Assert.Equal(1, writer.Written);
        Assert.Equal((await write, 1), await Reader.TailAsync());
    }

    [Fact]
    public async Task A_writer_told_to_drop_counts_what_it_drops_and_leaves_no_gap()
    {
        var writer = new LogitStreamWriter(redis.Database, model, "p", SampleRecord.Schema, new() { MaxStreamLength = 3, WhenFull = FullStreamPolicy.Drop });
        for (var i = 0; i < 3; i++)
            await redis.Database.ExecuteAsync("XADD", new StreamKeys(model).Logits, "*", "old", i);

        Assert.Null(await writer.TryWriteAsync(SampleRecord.Make()));
        await Assert.ThrowsAsync<InvalidOperationException>(() => writer.WriteAsync(SampleRecord.Make()));
        await redis.Database.ExecuteAsync("XTRIM", new StreamKeys(model).Logits, "MAXLEN", 0);
        await writer.WriteAsync(SampleRecord.Make());

        Assert.Equal((1, 2), (writer.Written, writer.Dropped));
        Assert.Equal(1UL, (await Reader.ReadAsync(StreamId.Zero, 10))[0].Record!.Sequence);
    }

    [Fact]
    public async Task Bytes_bound_the_stream_too()
    {
        var bytes = SampleRecord.Make().ToByteArray().Length;
        var writer = new LogitStreamWriter(redis.Database, model, "p", SampleRecord.Schema, new() { MaxStreamBytes = 100 * bytes, WhenFull = FullStreamPolicy.Drop });

        for (var i = 0; i < 500; i++)
            await writer.TryWriteAsync(SampleRecord.Make());

        // Asked now and then, so it overshoots by less than one interval.
        Assert.InRange(writer.Written, 100, 200);
        Assert.Equal(500, writer.Written + writer.Dropped);
    }

    [Fact]
    public async Task Shards_have_sequences_of_their_own_and_hold_every_record_once()
    {
        var writer = new LogitStreamWriter(redis.Database, model, "p", SampleRecord.Schema, new() { Shards = 3 });
        for (var i = 1; i <= 60; i++)
        {
            var record = SampleRecord.Make(i);
            record.RequestId = $"request-{i}";
            await writer.WriteAsync(record);
        }

        var requests = new List<string>();
        foreach (var key in new StreamKeys(model).LogitShards(3))
        {
            var entries = await new LogitStreamReader(redis.Database, key, SampleRecord.Schema).ReadAsync(StreamId.Zero, 100);
            Assert.Equal(Enumerable.Range(1, entries.Count).Select(n => (ulong)n), entries.Select(e => e.Record!.Sequence));
            Assert.InRange(entries.Count, 8, 35);
            requests.AddRange(entries.Select(e => e.Record!.RequestId));
        }
        Assert.Equal(60, requests.Distinct().Count());
        Assert.Equal(60, requests.Count);
    }

    [Fact]
    public async Task A_writer_that_waits_can_be_cancelled()
    {
        await redis.Database.ExecuteAsync("XADD", new StreamKeys(model).Logits, "*", "old", 1);
        var writer = new LogitStreamWriter(redis.Database, model, "p", SampleRecord.Schema, new() { MaxStreamLength = 1 });
        using var cancellation = new CancellationTokenSource();

        var write = writer.WriteAsync(SampleRecord.Make(), cancellation.Token);
        cancellation.Cancel();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => write);
    }

    [Fact]
    public async Task A_killed_redis_is_waited_for_and_no_record_is_lost_or_applied_twice()
    {
        using var server = RedisServer.Durable();
        var connection = server.Connect();
        var writer = new LogitStreamWriter(connection.GetDatabase(), model, "p", SampleRecord.Schema);
        var reader = new LogitStreamReader(connection.GetDatabase(), model, SampleRecord.Schema);
        const int Total = 400;
        using var hundredWritten = new SemaphoreSlim(0);
        var producing = Task.Run(async () =>
        {
            for (var i = 1; i <= Total; i++)
            {
                await writer.WriteAsync(SampleRecord.Make(i));
                if (i == 100)
                    hundredWritten.Release();
            }
        });

        await hundredWritten.WaitAsync();
        server.Kill();
        await Assert.ThrowsAnyAsync<Exception>(() => reader.ReadAsync(StreamId.Zero, 10));
        await Eventually.HoldsAsync(() => writer.Retries > 0, "the writer tries again");
        server.Restart();
        await producing.WaitAsync(TimeSpan.FromSeconds(60));

        var sequences = new ProducerSequences();
        var applied = new List<ulong>();
        for (var position = StreamId.Zero; ;)
        {
            var entries = await reader.ReadAsync(position, 64);
            if (entries.Count == 0)
                break;
            applied.AddRange(entries.Where(e => sequences.Observe(e.Record!) == SequenceVerdict.Next).Select(e => e.Record!.Sequence));
            position = entries[^1].Id;
        }
        Assert.Equal(Enumerable.Range(1, Total).Select(i => (ulong)i), applied);
        Assert.Equal(0, sequences.Missing);
        Assert.Equal(Total, writer.Written);
    }

    [Fact]
    public async Task The_writer_waits_for_a_full_redis()
    {
        var writer = new LogitStreamWriter(redis.Database, model, "p", SampleRecord.Schema);
        await redis.Database.ExecuteAsync("CONFIG", "SET", "maxmemory", "1");
        try
        {
            var writing = writer.WriteAsync(SampleRecord.Make());
            await Eventually.HoldsAsync(() => writer.Retries > 0, "the writer tries again");
            Assert.StartsWith("OOM", writer.RetryReason);

            await redis.Database.ExecuteAsync("CONFIG", "SET", "maxmemory", "0");
            await writing;
        }
        finally
        {
            await redis.Database.ExecuteAsync("CONFIG", "SET", "maxmemory", "0");
        }
        Assert.Single(await Reader.ReadAsync(StreamId.Zero, 10));
    }

    [Fact]
    public async Task Announcements_are_read_back_newest_first()
    {
        var announcements = new VersionAnnouncements(redis.Database, model);
        Assert.Null(await announcements.NewestPublishedAsync());
        Assert.Null(await announcements.NewestServedAsync());

        await announcements.PublishedAsync(1);
        await announcements.PublishedAsync(2);
        await announcements.ServedAsync(1, "server");

        Assert.Equal(2, (await announcements.NewestPublishedAsync())!.Value.Version);
        Assert.Equal(1, (await announcements.NewestServedAsync())!.Value.Version);
    }

    [Fact]
    public void Keys_hold_the_model_and_nothing_else_can()
    {
        var keys = new StreamKeys("news");
        Assert.Equal(["kd:news:logits", "kd:news:labels", "kd:news:versions", "kd:news:swaps", "kd:news:dead", "kd:news:owner",
            "kd:news:epoch", "kd:news:journal", "kd:news:logits", "kd:news:logits:0", "kd:news:logits:1"],
            ((RedisKey[])[keys.Logits, keys.Labels, keys.Versions, keys.Swaps, keys.DeadLetters, keys.Owner, keys.Epoch, keys.Journal, .. keys.LogitShards(1), .. keys.LogitShards(2)]).Select(k => (string)k!));
        foreach (var name in (string?[])[null, "", "News", "a b", "a:b", "../a", "a\n", new string('a', 65)])
            Assert.Equal("model", Assert.Throws<ContractException>(() => new StreamKeys(name!)).Field);
    }
}
