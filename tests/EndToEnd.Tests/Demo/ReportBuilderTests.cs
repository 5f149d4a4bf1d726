using KdServing.LoadTests.Demo;

namespace KdServing.EndToEnd.Tests.Demo;

public class ReportBuilderTests
{
    [Theory]
    // Everything written was read or dead-lettered.
    [InlineData(100, 97, 3, 3, 0)]
    // Five written records were never read.
    [InlineData(100, 92, 3, 3, 5)]
    // The list lacks ten records of a killed teacher, and two others are a hole in the sequences: the list alone would hide them.
    [InlineData(90, 98, 0, 2, 2)]
    public void A_loss_is_counted_by_the_account_that_shows_it(long produced, long consumed, long deadLettered, long missing, long lost) =>
        Assert.Equal(lost, ReportBuilder.Lost(produced, consumed, deadLettered, missing));
}
