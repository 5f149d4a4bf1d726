using KdServing.Datasets;
using KdServing.LoadTests.Teaching;

namespace KdServing.EndToEnd.Tests.Teaching;

public sealed class TeacherStreamTests(RedisServer redis) : IClassFixture<RedisServer>, IDisposable
{
    private readonly TeachingFixture fixture = new();

    [Fact]
    public async Task StreamsEveryImpressionInOrder()
    {
        using var teacher = fixture.NewTeacher();
        using (var stream = fixture.NewStream(teacher, redis.Database, "order"))
            Assert.Equal(TeacherPhase.Done, stream.Run(CancellationToken.None));

        var entries = await fixture.ReadAll(redis.Database, "order");
        var expected = fixture.Reader.Read(DatasetPart.Replay).ToList();
        Assert.Equal(expected.Select(i => i.RequestId), entries.Select(e => e.Record!.RequestId));
        Assert.Equal(Enumerable.Range(1, expected.Count).Select(s => (ulong)s), entries.Select(e => e.Record!.Sequence));
        Assert.Single(entries.Select(e => e.Record!.ProducerId).Distinct());
        var log = File.ReadAllLines(Path.Combine(fixture.Folder, "order.log"));
        Assert.Equal(entries.Select(e => e.Id.ToString()), log);
        // 240 impressions in batches of 8, five batches a version.
        Assert.Equal(Enumerable.Range(1, 6).Select(v => (long)v), entries.Select(e => e.Record!.Outputs[0].TeacherVersion).Distinct());
    }

    // Every logit on the stream is that of a teacher who has learned the batches before it and nothing else.
    [Fact]
    public async Task ScoresBeforeItLearns()
    {
        using (var teacher = fixture.NewTeacher())
        using (var stream = fixture.NewStream(teacher, redis.Database, "causal"))
            stream.Run(CancellationToken.None);

        using var witness = fixture.NewTeacher();
        var batch = witness.NewBatch();
        var moved = 0;
        foreach (var records in (await fixture.ReadAll(redis.Database, "causal")).Select(e => e.Record!).Chunk(fixture.Config.BatchImpressions))
        {
            batch.Clear();
            foreach (var record in records)
                batch.Add(record);
            using (var scored = witness.Score(batch))
            {
                for (var i = 0; i < records.Length; i++)
                    Assert.Equal(scored.Logits(i, 0), records[i].Outputs[0].Logits.ToArray());
                scored.Learn();
            }
            using var after = witness.Score(batch);
            moved += Enumerable.Range(0, records.Length).Count(i => !after.Logits(i, 0).AsSpan().SequenceEqual(records[i].Outputs[0].Logits.ToArray()));
        }
        // Had it learned first, the logits would be these.
        Assert.Equal(TeachingFixture.Replayed, moved);
    }

    [Fact]
    public async Task ContinuesWhereItWasStopped()
    {
        var positionFile = Path.Combine(fixture.Folder, "resume.position");
        using (var cancellation = new CancellationTokenSource())
        using (var teacher = fixture.NewTeacher())
        {
            var batches = 0;
            using var first = fixture.NewStream(teacher, redis.Database, "resume", positionFile, batchStreamed: () =>
            {
                if (++batches == 7)
                    cancellation.Cancel();
            });
            Assert.Equal(TeacherPhase.Stopped, first.Run(cancellation.Token));
            Assert.Equal(7 * fixture.Config.BatchImpressions, first.Position.Produced);
        }

        using (var teacher = fixture.NewTeacher(seed: 9))
        {
            TeacherCheckpoint.Load(teacher, TeacherStream.WeightsFile(positionFile)!);
            using var second = fixture.NewStream(teacher, redis.Database, "resume", positionFile);
            Assert.Equal(TeacherPhase.Done, second.Run(CancellationToken.None));
            Assert.Equal(TeachingFixture.Replayed, second.Position.Produced);
        }

        var entries = await fixture.ReadAll(redis.Database, "resume");
        Assert.Equal(fixture.Reader.Read(DatasetPart.Replay).Select(i => i.RequestId), entries.Select(e => e.Record!.RequestId));
        var producers = entries.GroupBy(e => e.Record!.ProducerId).ToList();
        Assert.Equal(2, producers.Count);
        Assert.All(producers, p => Assert.Equal(Enumerable.Range(1, p.Count()).Select(s => (ulong)s), p.Select(e => e.Record!.Sequence)));
        var versions = entries.Select(e => e.Record!.Outputs[0].TeacherVersion).ToList();
        Assert.Equal(versions.Order(), versions);
    }

    // Redis dies in the middle and comes back when the teacher has noticed: the same records, none missing, none out of order.
    [Fact]
    public async Task SurvivesARestartOfRedis()
    {
        using var durable = RedisServer.Durable();
        var database = durable.Connect().GetDatabase();
        using var teacher = fixture.NewTeacher();
        using var report = new StatusReport(null);
        var batches = 0;
        Task? back = null;
        using var stream = fixture.NewStream(teacher, database, "restart", report: report, batchStreamed: () =>
        {
            if (++batches != 5)
                return;
            durable.Kill();
            back = Task.Run(async () =>
            {
                await Eventually.HoldsAsync(() => report.Current.Retries > 0, "the stream tries again");
                durable.Restart();
            });
        });
        Assert.Equal(TeacherPhase.Done, stream.Run(CancellationToken.None));
        await back!;
        Assert.True(report.Current.Retries > 0);

        var entries = await fixture.ReadAll(durable.Connect().GetDatabase(), "restart");
        // A lost reply is repeated with the same sequence; the reader applies it once.
        var applied = entries.Select(e => e.Record!).DistinctBy(r => r.Sequence).ToList();
        Assert.Equal(fixture.Reader.Read(DatasetPart.Replay).Select(i => i.RequestId), applied.Select(r => r.RequestId));
        Assert.Equal(TeachingFixture.Replayed, stream.Position.Produced);
    }

    [Fact]
    public void ReportsItsStatus()
    {
        var status = Path.Combine(fixture.Folder, "status.json");
        using (var teacher = fixture.NewTeacher())
        using (var report = new StatusReport(status))
        using (var stream = fixture.NewStream(teacher, redis.Database, "status", report: report))
            stream.Run(CancellationToken.None);

        var json = fixture.ReadJson("status.json");
        Assert.Equal("teacher", json.GetProperty("process").GetString());
        Assert.Equal("done", json.GetProperty("phase").GetString());
        Assert.Equal(TeachingFixture.Replayed, json.GetProperty("produced").GetInt64());
        Assert.Equal(6, json.GetProperty("teacher_version").GetInt64());
        Assert.InRange(json.GetProperty("gauc").GetDouble(), 0.3, 1);
        Assert.InRange(json.GetProperty("busy_share").GetDouble(), 0, 1);
    }

    public void Dispose() => fixture.Dispose();
}
