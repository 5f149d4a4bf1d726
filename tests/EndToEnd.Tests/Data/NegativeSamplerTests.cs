using KdServing.Datasets;

namespace KdServing.EndToEnd.Tests.Data;

public class NegativeSamplerTests
{
    // Exact inclusion probabilities of successive sampling by enumerating every order, against what is drawn and what is claimed.
    [Fact]
    public void Small_windows_follow_successive_sampling_exactly()
    {
        int[] counts = [1, 2, 3, 5, 8, 13];
        var exact = ExactInclusion(counts, 3);
        var (drawn, claimed) = Simulate(counts, [], negatives: 3, rounds: 60_000);

        Assert.Equal(3, exact.Sum(), 1e-9);
        for (var i = 0; i < counts.Length; i++)
        {
            // Four standard deviations of a frequency.
            var tolerance = 4 * Math.Sqrt(exact[i] * (1 - exact[i]) / 60_000);
            Assert.Equal(exact[i], drawn[i], tolerance);
            Assert.Equal(exact[i], claimed[i], 0.05);
        }
    }

    // The size of real windows: the claimed probabilities are right to a few per cent, and as good as exact in a chi-square test.
    [Fact]
    public void Large_windows_are_drawn_with_the_claimed_probabilities()
    {
        const int rounds = 20_000;
        const int negatives = 50;
        var counts = Enumerable.Range(1, 400).Select(rank => Math.Max(1, 600 / rank)).ToArray();
        var (drawn, claimed) = Simulate(counts, [0, 5, 17], negatives, rounds);

        Assert.Equal(negatives, claimed.Sum(), 1e-3);
        Assert.Equal(negatives, drawn.Sum(), 1e-9);
        Assert.All(new[] { 0, 5, 17 }, excluded => Assert.Equal(0, drawn[excluded]));
        var chiSquare = 0.0;
        var cells = 0;
        for (var i = 0; i < counts.Length; i++)
        {
            if (claimed[i] == 0)
                continue;
            var variance = claimed[i] * (1 - claimed[i]) / rounds;
            chiSquare += (drawn[i] - claimed[i]) * (drawn[i] - claimed[i]) / variance;
            cells++;
        }

        // Mean `cells`, standard deviation sqrt(2 cells) if the claim is exact; it is asymptotic, hence the factor beside 4 deviations.
        Assert.True(chiSquare < 1.3 * (cells + (4 * Math.Sqrt(2 * cells))), $"chi-square {chiSquare} for {cells} cells");
    }

    [Fact]
    public void Equal_counts_are_exact()
    {
        var counts = Enumerable.Repeat(4, 40).ToArray();
        var (drawn, claimed) = Simulate(counts, [3], negatives: 10, rounds: 20_000);
        for (var i = 0; i < counts.Length; i++)
        {
            Assert.Equal(i == 3 ? 0 : 10 / 39.0, claimed[i], 1e-6);
            Assert.Equal(claimed[i], drawn[i], 4 * Math.Sqrt(0.25 * 0.75 / 20_000));
        }
    }

    // One item holds nearly all clicks: drawing click by click would take for ever, the exact scan must take over with the same law.
    [Fact]
    public void A_window_held_by_one_item_is_drawn_by_the_scan()
    {
        int[] counts = [4_000, 1, 1, 1, 1, 2];
        var exact = ExactInclusion(counts, 3);
        var (drawn, _) = Simulate(counts, [], negatives: 3, rounds: 20_000);
        for (var i = 0; i < counts.Length; i++)
            Assert.Equal(exact[i], drawn[i], (4 * Math.Sqrt(0.25 / 20_000)) + 1e-9);
    }

    [Fact]
    public void A_window_with_too_few_items_gives_all_of_them_with_certainty()
    {
        var (drawn, claimed) = Simulate([3, 1, 9], [1], negatives: 50, rounds: 8);
        Assert.Equal([1, 0, 1], drawn);
        Assert.Equal([1, 0, 1], claimed);
    }

    private static (double[] Drawn, double[] Claimed) Simulate(int[] counts, int[] excluded, int negatives, int rounds)
    {
        var recent = new RecentClicks(3_600_000, 600_000);
        for (var item = 0; item < counts.Length; item++)
        {
            for (var c = 0; c < counts[item]; c++)
                recent.Add(item, 1000);
        }

        var sampler = new NegativeSampler(recent);
        var random = new SplitMix64(99);
        var drawn = new double[counts.Length];
        var claimed = new double[counts.Length];
        var items = new int[negatives];
        var logQ = new float[negatives];
        for (var round = 0; round < rounds; round++)
        {
            var n = sampler.Draw(ref random, excluded, items, logQ);
            Assert.Equal(n, items.AsSpan(0, n).ToArray().Distinct().Count());
            for (var i = 0; i < n; i++)
            {
                drawn[items[i]] += 1.0 / rounds;
                claimed[items[i]] = Math.Exp(logQ[i]);
            }
        }

        return (drawn, claimed);
    }

    private static double[] ExactInclusion(int[] counts, int negatives)
    {
        var inclusion = new double[counts.Length];
        Visit(1, counts.Sum(), []);
        return inclusion;

        void Visit(double probability, int remaining, List<int> taken)
        {
            if (taken.Count == negatives)
            {
                foreach (var item in taken)
                    inclusion[item] += probability;
                return;
            }

            for (var item = 0; item < counts.Length; item++)
            {
                if (!taken.Contains(item))
                    Visit(probability * counts[item] / remaining, remaining - counts[item], [.. taken, item]);
            }
        }
    }
}
