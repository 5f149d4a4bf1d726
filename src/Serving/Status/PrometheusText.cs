using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using System.Globalization;
using System.Text;

namespace KdServing.Serving.Status;

/// <summary>Collects the instruments of one meter and writes them in Prometheus' text format, version 0.0.4.</summary>
/// <remarks>Any thread. Counters get the suffix <c>_total</c>, histograms in seconds <c>_seconds</c>, as that format's users expect.</remarks>
public sealed class PrometheusText : IDisposable
{
    // Request latencies from half a millisecond to a second.
    private static readonly double[] Bounds = [0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.02, 0.03, 0.05, 0.1, 0.25, 0.5, 1];

    private readonly MeterListener listener = new();
    private readonly ConcurrentDictionary<string, Series> all = [];

    public PrometheusText(Meter meter)
    {
        listener.InstrumentPublished = (instrument, l) =>
        {
            if (instrument.Meter == meter)
                l.EnableMeasurementEvents(instrument, all.GetOrAdd(instrument.Name, _ => new(instrument)));
        };
        listener.SetMeasurementEventCallback<long>((_, value, tags, series) => ((Series)series!).Take(value, tags));
        listener.SetMeasurementEventCallback<int>((_, value, tags, series) => ((Series)series!).Take(value, tags));
        listener.SetMeasurementEventCallback<double>((_, value, tags, series) => ((Series)series!).Take(value, tags));
        listener.Start();
    }

    public string Render()
    {
        listener.RecordObservableInstruments();
        var text = new StringBuilder();
        foreach (var (_, series) in all.OrderBy(s => s.Key, StringComparer.Ordinal))
            series.Render(text);
        return text.ToString();
    }

    public void Dispose() => listener.Dispose();

    private sealed class Series(Instrument instrument)
    {
        private readonly bool isCounter = instrument is Counter<long>;
        private readonly bool isRunningTotal = instrument is ObservableCounter<long>;
        private readonly bool isHistogram = instrument is Histogram<double>;
        private readonly ConcurrentDictionary<object, Cell> cells = [];

        // One tag at most: its value is the key, so that a request makes no string to find its cell.
        public void Take(double value, ReadOnlySpan<KeyValuePair<string, object?>> tags)
        {
            var key = tags.IsEmpty ? "" : tags[0].Value ?? "";
            if (!cells.TryGetValue(key, out var cell))
            {
                var labels = tags.IsEmpty ? "" : $"{tags[0].Key}=\"{Escape(tags[0].Value)}\"";
                cell = cells.GetOrAdd(key, _ => new(labels));
            }
            if (isHistogram)
                cell.Observe(value);
            else if (isCounter)
                cell.Add(value);
            else
                cell.Set(value);
        }

        public void Render(StringBuilder text)
        {
            var name = instrument.Name + (isCounter || isRunningTotal ? "_total" : isHistogram ? "_seconds" : "");
            var kind = isCounter || isRunningTotal ? "counter" : isHistogram ? "histogram" : "gauge";
            text.Append(CultureInfo.InvariantCulture, $"# HELP {name} {instrument.Description}\n# TYPE {name} {kind}\n");
            foreach (var cell in cells.Values.OrderBy(c => c.Labels, StringComparer.Ordinal))
            {
                if (isHistogram)
                    cell.RenderHistogram(text, name);
                else
                    text.Append(CultureInfo.InvariantCulture, $"{name}{(cell.Labels.Length == 0 ? "" : $"{{{cell.Labels}}}")} {cell.Value}\n");
            }
        }

        private static string Escape(object? value) => (value?.ToString() ?? "")
            .Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\"", "\\\"", StringComparison.Ordinal).Replace("\n", "\\n", StringComparison.Ordinal);
    }

    private sealed class Cell(string labels)
    {
        private readonly long[] buckets = new long[Bounds.Length + 1];
        private double value;

        public string Labels { get; } = labels;

        public double Value => Volatile.Read(ref value);

        public void Set(double next) => Volatile.Write(ref value, next);

        public void Add(double amount)
        {
            var seen = Volatile.Read(ref value);
            double was;
            while ((was = Interlocked.CompareExchange(ref value, seen + amount, seen)) != seen)
                seen = was;
        }

        public void Observe(double amount)
        {
            var b = 0;
            while (b < Bounds.Length && amount > Bounds[b])
                b++;
            Interlocked.Increment(ref buckets[b]);
            Add(amount);
        }

        public void RenderHistogram(StringBuilder text, string name)
        {
            var sum = 0L;
            for (var b = 0; b <= Bounds.Length; b++)
            {
                sum += Volatile.Read(ref buckets[b]);
                var bound = b < Bounds.Length ? Bounds[b].ToString(CultureInfo.InvariantCulture) : "+Inf";
                text.Append(CultureInfo.InvariantCulture, $"{name}_bucket{{le=\"{bound}\"}} {sum}\n");
            }
            text.Append(CultureInfo.InvariantCulture, $"{name}_sum {Value}\n{name}_count {sum}\n");
        }
    }
}
