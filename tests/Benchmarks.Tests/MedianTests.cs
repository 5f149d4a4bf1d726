namespace KdServing.Benchmarks.Tests;

public sealed class MedianTests
{
    [Theory]
    [InlineData(new double[] { 3 }, 3)]
    [InlineData(new double[] { 9, 1, 2 }, 2)]
    [InlineData(new double[] { 8, 1, 4, 2 }, 3)]
    [InlineData(new double[0], double.NaN)]
    public void It_is_in_the_middle_of_values_in_any_order(double[] values, double expected) => Assert.Equal(expected, Median.Of(values));
}
