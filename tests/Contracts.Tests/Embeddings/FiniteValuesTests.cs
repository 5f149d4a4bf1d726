namespace KdServing.Contracts.Tests.Embeddings;

public sealed class FiniteValuesTests
{
    // Every length from nothing to past two turns of the widest loop, and every place in it.
    [Fact]
    public void The_first_fault_is_found_wherever_it_lies()
    {
        foreach (var fault in (float[])[float.NaN, -float.NaN, float.PositiveInfinity, float.NegativeInfinity])
        {
            for (var length = 0; length < 150; length++)
            {
                var values = new float[length];
                Array.Fill(values, -float.MaxValue);
                Assert.Equal(-1, FiniteValues.IndexOfFault(values));
                for (var at = length - 1; at >= 0; at--)
                {
                    values[at] = fault;
                    Assert.Equal(at, FiniteValues.IndexOfFault(values));
                }
            }
        }
    }
}
