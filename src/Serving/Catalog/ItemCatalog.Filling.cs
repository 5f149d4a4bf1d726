using System.Diagnostics;
using KdServing.Serving.Models;

namespace KdServing.Serving.Catalog;

// How a version gets its item vectors: a step at a time on the catalog's thread.
public sealed partial class ItemCatalog
{
    // A step of filling: short, so that items that arrive are not kept waiting.
    private const int BatchesPerStep = 8;

    private (VectorFill Fill, bool IsFirst) Begin(Servable next)
    {
        if (Features.Layout.Conflict(next.Schema) is { } conflict)
            throw new VersionRefusedException(next.Version, $"schema {conflict}", isFinal: true, null);
        var ordinal = history.Begin(next, Features, slots);
        var vectors = stores.Take(next.Manifest.Signature.ItemVectorWidth, options.Format);
        vectors.Adopt(ordinal, history.ChangedAt(slots));
        var version = new VersionItems(this, next, vectors);
        next.Items = version;
        lock (versions)
            versions.Add(version);
        schema = next.Schema;
        var fill = FillOrder.Make(version, slots, Counts);
        fills.Push(fill);
        Volatile.Write(ref newest, fill);
        var isFirst = !isFilling;
        isFilling = true;
        return (fill, isFirst);
    }

    // The newest version first: those before it go on afterwards, as long as they live.
    private async Task FillAsync()
    {
        do
        {
            if (BeforeStep is { } hold)
                await hold();
        }
        while (await thread.RunAsync(FillStep));
    }

    private bool FillStep()
    {
        isFilling = fills.TryPeek(out var fill);
        if (fill is null)
            return false;
        var started = Stopwatch.GetTimestamp();
        try
        {
            var alive = true;
            for (var b = 0; b < BatchesPerStep && alive && fill.Left > 0; b++)
                alive = EncodeFor(fill.Version, fill.Take(ItemEncoder.BatchItems));
            if (fill.Left == 0 && alive)
                fill.Version.Vectors.IsComplete = true;
            fill.Spent += Stopwatch.GetElapsedTime(started);
            fill.Report();
            if (fill.Left == 0 || !alive)
                fills.Pop();
        }
        catch (Exception e) when (e is NonFiniteScoreException or Microsoft.ML.OnnxRuntime.OnnxRuntimeException)
        {
            fills.Pop();
            fill.Fail(new VersionRefusedException(fill.Version.Servable.Version, e.Message, isFinal: true, e));
        }
        return true;
    }

    // False when the version is gone: it must not be disposed while it encodes.
    private bool EncodeFor(VersionItems version, ReadOnlySpan<int> wanted)
    {
        if (!version.Servable.Leases.TryAcquire())
            return false;
        try
        {
            var vectors = version.Vectors;
            vectors.Reserve(slots.End);
            Span<int> batch = stackalloc int[ItemEncoder.BatchItems];
            for (var w = 0; w < wanted.Length;)
            {
                var count = 0;
                for (; w < wanted.Length && count < batch.Length; w++)
                {
                    if (slots.IsLive(wanted[w]) && !vectors.Has(wanted[w]))
                        batch[count++] = wanted[w];
                }
                if (count == 0)
                    break;
                var encoded = encoder.Encode(version, Features, batch[..count]);
                vectors.Write(batch[..count], encoded);
            }
            return true;
        }
        finally
        {
            version.Servable.Leases.Release();
        }
    }

    // The mean over a sample of the catalog; without any item, the item that has no feature.
    private void SetColdStart(VersionItems version)
    {
        if (!version.Servable.Leases.TryAcquire())
            return;
        try
        {
            var vectors = version.Vectors;
            var mean = encoder.EncodeNothing(version).ToArray();
            var sample = ColdStart.Sample(slots, vectors);
            if (sample.Count > 0)
            {
                Array.Clear(mean);
                foreach (var slot in sample)
                    vectors.AddTo(slot, mean);
                for (var d = 0; d < mean.Length; d++)
                    mean[d] /= sample.Count;
            }
            vectors.WriteColdStart(mean);
        }
        finally
        {
            version.Servable.Leases.Release();
        }
    }
}
