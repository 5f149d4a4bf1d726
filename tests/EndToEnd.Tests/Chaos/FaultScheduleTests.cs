using KdServing.LoadTests.Chaos;

namespace KdServing.EndToEnd.Tests.Chaos;

public sealed class FaultScheduleTests
{
    [Fact]
    public void A_seed_gives_the_same_faults_and_another_seed_gives_others()
    {
        Assert.Equal(FaultSchedule.Make(7).Take(100), FaultSchedule.Make(7).Take(100));
        Assert.NotEqual(FaultSchedule.Make(7).Take(100), FaultSchedule.Make(8).Take(100));
    }

    [Fact]
    public void Every_kind_of_fault_comes_up_in_the_first_round() =>
        Assert.Equal(Enum.GetValues<Fault>().Order(), FaultSchedule.Make(1).Take(13).Select(f => f.Fault).Distinct().Order());
}
