namespace KdServing.Serving.Tests.Ranking;

/// <summary>Requests through a real channel, a real server and real versions, against scores computed from the formulas.</summary>
public sealed class RankTests
{
    [Theory]
    [InlineData("mlp")]
    [InlineData("two_tower")]
    public async Task Replies_with_what_the_student_computes(string family)
    {
        using var sample = new SampleStudent(family);
        await using var server = await RunningServer.StartAsync(sample);
        foreach (var candidates in (int[])[1, 7, 500, 33])
        {
            var request = sample.Request(candidates, seed: candidates);
            var reply = await server.Client.RankAsync(request);
            Assert.Equal(request.RequestId, reply.RequestId);
            Assert.Equal(SampleStudent.Model, reply.Model);
            Assert.Equal(1, reply.Version);
            Assert.Equal(server.Repository.Manifest(SampleStudent.Model, 1).WatermarkMs, reply.WatermarkMs);
            Assert.Empty(reply.Index);
            var expected = sample.Score(request);
            for (var t = 0; t < sample.Schema.Targets.Count; t++)
            {
                Assert.Equal(sample.Schema.Targets[t], reply.Targets[t].Target);
                for (var n = 0; n < candidates; n++)
                {
                    var logit = expected[n * sample.Schema.Targets.Count + t];
                    Assert.Equal(logit, reply.Targets[t].Logits[n], 1e-4f * MathF.Max(1, MathF.Abs(logit)));
                    Assert.Equal(1 / (1 + MathF.Exp(-logit)), reply.Targets[t].Scores[n], 1e-5f);
                }
            }
        }
    }
}
