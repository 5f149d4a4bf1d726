namespace KdServing.Datasets;

/// <summary>Draws distinct items in proportion to their clicks in the window, and says how probable each one's inclusion was.</summary>
/// <remarks>
/// <para>Scheme: clicks of the window are drawn uniformly with replacement until k distinct items, none of them excluded, have come up
/// (successive sampling with probabilities proportional to size).</para>
/// <para>Inclusion probability: seen in continuous time, item i with c_i clicks comes up first after an exponential time of rate c_i, and the
/// sample is the k earliest (Efraimidis, Spirakis: "Weighted random sampling with a reservoir", IPL 97, 2006). Its k-th
/// arrival concentrates around the τ that solves Σ_i (1 - exp(-c_i τ)) = k, hence π_i ≈ 1 - exp(-c_i τ), exact for equal
/// counts and asymptotically right otherwise (Rosén: "Asymptotic theory for successive sampling with varying probabilities without
/// replacement, I", Annals of Mathematical Statistics 43, 1972). The π_i sum to k. The counts' histogram is enough to solve for τ.</para>
/// </remarks>
public sealed class NegativeSampler(RecentClicks recent)
{
    // Enough for skewed windows; what is left is drawn exactly by a scan, so the cap changes the speed, not the law.
    private const int DrawsPerNegative = 40;

    private int[] _marks = new int[1 << 10];
    private int _mark;
    private double[] _rates = new double[64];
    private double[] _multiplicities = new double[64];

    /// <summary>Draws up to <c>items.Length</c> distinct items, fewer only when the window holds no more.</summary>
    /// <param name="random">Source of randomness; the result is a function of its state and the window.</param>
    /// <param name="excluded">Items not to draw.</param>
    /// <param name="items">Receives the items.</param>
    /// <param name="logQ">Receives the log of each one's inclusion probability; empty: not wanted.</param>
    /// <returns>How many were drawn.</returns>
    public int Draw(ref SplitMix64 random, ReadOnlySpan<int> excluded, Span<int> items, Span<float> logQ)
    {
        BeginRound();
        var available = recent.ActiveItems.Length;
        foreach (var item in excluded)
        {
            if (Mark(item) && recent.Count(item) > 0)
                available--;
        }

        var wanted = Math.Min(items.Length, available);
        var drawn = 0;
        if (wanted < available)
        {
            var total = recent.Total;
            for (var draws = wanted * DrawsPerNegative; draws > 0 && drawn < wanted; draws--)
            {
                var item = recent.ItemAt(random.Next(total));
                if (Mark(item))
                    items[drawn++] = item;
            }
        }

        if (drawn < wanted)
            drawn = DrawRest(ref random, items[..wanted], drawn);

        if (logQ.IsEmpty)
            return drawn;
        var tau = wanted < available ? SolveTau(excluded, wanted) : double.PositiveInfinity;
        for (var i = 0; i < drawn; i++)
            logQ[i] = (float)Math.Log(-double.ExpM1(-recent.Count(items[i]) * tau));
        return drawn;
    }

    private void BeginRound() => _mark++;

    /// <summary>Marks an item for this round; false when it was marked already.</summary>
    private bool Mark(int item)
    {
        if (item >= _marks.Length)
            Array.Resize(ref _marks, Math.Max(item + 1, _marks.Length * 2));
        if (_marks[item] == _mark)
            return false;
        _marks[item] = _mark;
        return true;
    }

    private int DrawRest(ref SplitMix64 random, Span<int> items, int drawn)
    {
        var rest = new List<int>();
        foreach (var item in recent.ActiveItems)
        {
            if (_marks.Length <= item || _marks[item] != _mark)
                rest.Add(item);
        }

        // The set's order depends on older history; by index the draw depends on the window alone.
        rest.Sort();
        while (drawn < items.Length)
        {
            var total = 0L;
            foreach (var item in rest)
                total += recent.Count(item);
            var at = (long)(random.NextDouble() * total);
            var position = 0;
            while ((at -= recent.Count(rest[position])) >= 0)
                position++;
            items[drawn++] = rest[position];
            rest.RemoveAt(position);
        }

        return drawn;
    }

    // Cost: the largest count of an item, a few microseconds for thousands of clicks.
    private double SolveTau(ReadOnlySpan<int> excluded, int wanted)
    {
        var histogram = recent.ItemsByCount;
        var distinct = 0;
        for (var count = 1; count < histogram.Length; count++)
        {
            if (histogram[count] > 0)
                AddRate(distinct++, count, histogram[count]);
        }

        foreach (var item in excluded)
        {
            // Each excluded item once, however often it is listed: its mark of this round is taken back.
            if (recent.Count(item) > 0 && _marks[item] == _mark)
            {
                _marks[item] = _mark - 1;
                AddRate(distinct++, recent.Count(item), -1);
            }
        }

        var rates = _rates.AsSpan(0, distinct);
        var multiplicities = _multiplicities.AsSpan(0, distinct);
        var slopeAtZero = 0.0;
        for (var j = 0; j < distinct; j++)
            slopeAtZero += multiplicities[j] * rates[j];

        // The sum is concave and increasing in τ: Newton from the left never overshoots.
        var tau = wanted / slopeAtZero;
        for (var iteration = 0; iteration < 100; iteration++)
        {
            double sum = 0, slope = 0;
            for (var j = 0; j < distinct; j++)
            {
                var stays = Math.Exp(-rates[j] * tau);
                sum += multiplicities[j] * (1 - stays);
                slope += multiplicities[j] * rates[j] * stays;
            }

            var step = (wanted - sum) / slope;
            tau += step;
            if (step < 1e-9 * tau)
                break;
        }

        return tau;
    }

    private void AddRate(int at, int count, int multiplicity)
    {
        if (at == _rates.Length)
        {
            Array.Resize(ref _rates, at * 2);
            Array.Resize(ref _multiplicities, at * 2);
        }

        _rates[at] = count;
        _multiplicities[at] = multiplicity;
    }
}
