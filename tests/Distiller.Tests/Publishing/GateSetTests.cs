using KdServing.Contracts;
using KdServing.Distiller.Publishing;

namespace KdServing.Distiller.Tests.Publishing;

public sealed class GateSetTests
{
    [Fact]
    public void It_keeps_the_last_impressions_and_survives_a_restart()
    {
        var set = new GateSet(3);
        for (var i = 1; i <= 5; i++)
            set.Add(new TeacherRecord { RequestId = $"r{i}", CandidateCount = i });
        using var stream = new MemoryStream();
        GateSet.Save(set.Records, stream);
        stream.Position = 0;

        var restored = new GateSet(3);
        restored.Restore(stream);

        Assert.Equal(["r3", "r4", "r5"], set.Records.Select(r => r.RequestId));
        Assert.Equal(set.Records, restored.Records);
    }

    [Fact]
    public void One_request_in_64_is_held_out_and_always_the_same()
    {
        var ids = Enumerable.Range(0, 64_000).Select(i => $"session-{i}").ToArray();

        var heldOut = ids.Where(GateSet.IsHeldOut).ToArray();

        // Binomial(64000, 1/64): 1000 ± 4 standard deviations.
        Assert.InRange(heldOut.Length, 875, 1125);
        Assert.Equal(heldOut, ids.Where(GateSet.IsHeldOut));
    }
}
