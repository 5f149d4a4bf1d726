using Google.Protobuf;
using KdServing.Contracts;

namespace KdServing.Datasets;

/// <summary>Generated interactions whose true click probability is known: for tests against truth, and when no data is at hand.</summary>
/// <remarks>
/// True logit of user u and item i at time t:
/// bias + a · affinity(u, i, t) + p · popularity(i, t) + x · hint(u, i, t), each part of unit scale. Affinity is the cosine of latent factors
/// that scatter around topic centres; users' factors wander. Popularity is a burst that follows an item's arrival and fades.
/// The hint is independent noise that only the teacher sees. Labels are drawn with the logistic of the true logit.
/// </remarks>
public sealed class SyntheticInteractions(SyntheticDescription options)
{
    private const double MsPerDay = 86_400_000;

    // The standard deviation of cosines of factors drawn as below, measured; brings the affinity to unit scale.
    private const double CosineDeviation = 0.35;

    /// <summary>Impressions of the parts from first to last; a function of the options alone.</summary>
    public IEnumerable<Impression> Generate(DatasetPart first, DatasetPart last)
    {
        var world = new World(options);
        var preparation = options.PreparationImpressions;
        var end = last >= DatasetPart.Replay ? preparation + options.ReplayImpressions : last == DatasetPart.Preparation ? preparation : 0;
        for (var n = 0; n < end; n++)
        {
            var part = n < preparation ? DatasetPart.Preparation : DatasetPart.Replay;
            var impression = world.Next(n, part);
            if (part >= first)
                yield return impression;
        }
    }

    /// <summary>The mean per-impression AUC of the best possible scorers: with the hint (no teacher can beat it), and without (no student can).</summary>
    public (double Teacher, double Student) BayesGauc(IEnumerable<Impression> impressions)
    {
        var teacher = new GroupedAuc();
        var student = new GroupedAuc();
        foreach (var impression in impressions)
        {
            var hints = impression.Privileged[0].RawFloat32.Span;
            var logits = impression.TrueLogits!;
            var scores = new float[logits.Length];
            for (var i = 0; i < scores.Length; i++)
                scores[i] = (float)(logits[i] - (options.PrivilegedScale * BitConverter.ToSingle(hints.Slice(4 * i, 4))));
            teacher.Add(logits, impression.Labels[0].States.Span);
            student.Add(scores, impression.Labels[0].States.Span);
        }

        return (teacher.Mean, student.Mean);
    }

    private sealed class World
    {
        private readonly SyntheticDescription _options;
        private readonly double[][] _centres;
        private readonly User[] _users;
        private readonly Item[] _items;
        private SplitMix64 _random;
        private long _itemsBorn;
        private int _oldest;

        public World(SyntheticDescription options)
        {
            _options = options;
            _random = new SplitMix64(SplitMix64.Mix((ulong)options.Seed));
            _centres = [.. Enumerable.Range(0, options.Topics).Select(_ => Unit(Gaussians(1)))];
            _users = [.. Enumerable.Range(0, options.Users).Select(_ => new User(Scatter(_random.Next(options.Topics)), options.StartMs))];
            _items = [.. Enumerable.Range(0, options.LiveItems).Select(i => Born(options.StartMs - ((options.LiveItems - i) * options.ImpressionsPerArrival * options.StepMs)))];
        }

        public Impression Next(int number, DatasetPart part)
        {
            var nowMs = _options.StartMs + (number * _options.StepMs);
            if (number > 0 && number % _options.ImpressionsPerArrival == 0)
            {
                _items[_oldest] = Born(nowMs);
                _oldest = (_oldest + 1) % _items.Length;
            }

            var u = _random.Next(_users.Length);
            var user = _users[u];
            Wander(user, nowMs);
            var n = Math.Min(_options.Candidates, _items.Length);
            var ids = new long[n];
            var topics = new long[n];
            var ages = new float[n];
            var popularities = new float[n];
            var hints = new float[n];
            var logits = new float[n];
            var states = new byte[n];
            var userColumns = new[] { Columns.OfInt("user", u), Columns.OfSequence("recent_items", [.. user.Recent]) };

            // A random stretch of a random permutation: distinct candidates without a set.
            var start = _random.Next(_items.Length);
            var stride = Coprime(_items.Length);
            for (var i = 0; i < n; i++)
            {
                var item = _items[(start + (int)((long)i * stride % _items.Length)) % _items.Length];
                ids[i] = item.Id;
                topics[i] = item.Topic;
                ages[i] = (float)((nowMs - item.BornMs) / 3_600_000.0);
                popularities[i] = (float)item.Popularity(nowMs);
                hints[i] = (float)_random.NextGaussian();
                logits[i] = (float)(_options.Bias
                    + (_options.AffinityScale * Dot(user.Factors, item.Factors) / CosineDeviation)
                    + (_options.PopularityScale * popularities[i])
                    + (_options.PrivilegedScale * hints[i]));
                var clicked = _random.NextDouble() < 1 / (1 + Math.Exp(-logits[i]));
                states[i] = (byte)(clicked ? LabelState.Positive : LabelState.Negative);
                if (clicked)
                    user.Clicked(item.Id);
            }

            var origin = new byte[n];
            Array.Fill(origin, (byte)CandidateOrigin.Exposed);
            return new Impression
            {
                RequestId = $"synthetic-{_options.Seed}-{number}",
                EventTimeMs = nowMs,
                SessionId = u,
                Part = part,
                CandidateCount = n,
                User = userColumns,
                Item = [Columns.OfInts("item", ids), Columns.OfInts("item_topic", topics), Columns.OfFloats("age_hours", ages), Columns.OfFloats("popularity", popularities)],
                Privileged = [Columns.OfFloats("hint", hints)],
                Origin = ByteString.CopyFrom(origin),
                SamplingLogQ = new float[n],
                Labels = [new TargetLabels { Target = "click", States = ByteString.CopyFrom(states) }],
                TrueLogits = logits,
            };
        }

        private Item Born(long bornMs)
        {
            var topic = _random.Next(_options.Topics);
            var lifeMs = _options.LiveItems * _options.ImpressionsPerArrival * _options.StepMs;
            return new Item(_itemsBorn++, topic, bornMs, Scatter(topic), 1 + _random.NextGaussian(), lifeMs * (0.1 + (0.4 * _random.NextDouble())));
        }

        private void Wander(User user, long nowMs)
        {
            var step = _options.DriftPerDay * Math.Sqrt((nowMs - user.LastMs) / MsPerDay / _options.Factors);
            for (var f = 0; f < user.Factors.Length; f++)
                user.Factors[f] += step * _random.NextGaussian();
            Unit(user.Factors);
            user.LastMs = nowMs;
        }

        private double[] Scatter(int topic)
        {
            var factors = Gaussians(0.5 / Math.Sqrt(_options.Factors));
            for (var f = 0; f < factors.Length; f++)
                factors[f] += _centres[topic][f];
            return Unit(factors);
        }

        private double[] Gaussians(double deviation)
        {
            var values = new double[_options.Factors];
            for (var f = 0; f < values.Length; f++)
                values[f] = deviation * _random.NextGaussian();
            return values;
        }

        private int Coprime(int length)
        {
            while (true)
            {
                var stride = 1 + _random.Next(Math.Max(1, length - 1));
                var (a, b) = (stride, length);
                while (b != 0)
                    (a, b) = (b, a % b);
                if (a == 1)
                    return stride;
            }
        }

        private static double[] Unit(double[] v)
        {
            var norm = Math.Sqrt(Dot(v, v));
            for (var f = 0; f < v.Length; f++)
                v[f] /= norm;
            return v;
        }

        private static double Dot(double[] a, double[] b)
        {
            var sum = 0.0;
            for (var f = 0; f < a.Length; f++)
                sum += a[f] * b[f];
            return sum;
        }
    }

    private sealed class User(double[] factors, long nowMs)
    {
        private const int Remembered = 5;

        public double[] Factors { get; } = factors;

        public long LastMs { get; set; } = nowMs;

        /// <summary>Clicked items, latest first.</summary>
        public List<long> Recent { get; } = [];

        public void Clicked(long item)
        {
            Recent.Remove(item);
            Recent.Insert(0, item);
            if (Recent.Count > Remembered)
                Recent.RemoveAt(Remembered);
        }
    }

    private sealed record Item(long Id, int Topic, long BornMs, double[] Factors, double Peak, double HalfLifeMs)
    {
        public double Popularity(long nowMs) => (Peak * double.Exp2(-(nowMs - BornMs) / HalfLifeMs)) + (0.2 * Math.Sin((Id * 0.7) + (nowMs / 1.0e6)));
    }
}
