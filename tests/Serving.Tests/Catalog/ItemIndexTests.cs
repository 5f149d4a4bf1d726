using KdServing.Serving.Catalog;

namespace KdServing.Serving.Tests.Catalog;

public sealed class ItemIndexTests
{
    [Fact]
    public void It_holds_what_a_dictionary_holds()
    {
        var (index, expected, random) = (new ItemIndex(), new Dictionary<long, int>(), new Random(1));
        for (var step = 0; step < 60_000; step++)
        {
            // Ids of all magnitudes, zero and negative ones too.
            var id = random.Next(3) switch { 0 => random.Next(-50, 50), 1 => random.Next(4000), _ => long.MinValue + random.Next(4000) };
            if (random.Next(3) == 0)
                Assert.Equal(expected.Remove(id, out var was) ? was : -1, index.Remove(id));
            else
            {
                Assert.Equal(expected.TryGetValue(id, out var was) ? was : -1, index.Set(id, step));
                expected[id] = step;
            }
            Assert.Equal(expected.Count, index.Count);
        }
        var ids = Enumerable.Range(-60, 4100).Select(i => (long)i).Concat(expected.Keys).ToArray();
        var slots = new int[ids.Length];
        index.Find(ids, slots);
        for (var n = 0; n < ids.Length; n++)
            Assert.Equal(expected.GetValueOrDefault(ids[n], -1), slots[n]);
        Assert.True(index.Capacity <= 8 * expected.Count, $"{index.Capacity} entries for {expected.Count} items: removed ones are not cleared away");
    }

    // An id that stays must be found by every look-up, however the table changes around it.
    [Fact]
    public async Task An_item_that_stays_is_found_while_others_come_and_go_and_the_table_grows()
    {
        var index = new ItemIndex();
        for (var id = 0L; id < 500; id++)
            index.Set(id, (int)id);
        var ids = Enumerable.Range(0, 500).Select(i => (long)i).ToArray();
        using var done = new CancellationTokenSource();
        var rounds = 0;
        var readers = Enumerable.Range(0, 2).Select(_ => Task.Run(() =>
        {
            var slots = new int[ids.Length];
            while (!done.IsCancellationRequested)
            {
                index.Find(ids, slots);
                for (var n = 0; n < slots.Length; n++)
                {
                    if (slots[n] != n)
                        Assert.Fail($"id {n} is in slot {slots[n]}");
                }
                Interlocked.Increment(ref rounds);
            }
        })).ToArray();
        // On a busy machine the readers may come late.
        for (var round = 0; round < 40 || Volatile.Read(ref rounds) < 20; round++)
        {
            for (var id = 1000L; id < 5000; id++)
                index.Set(round * 10_000 + id, 7);
            for (var id = 1000L; id < 5000; id++)
                index.Remove(round * 10_000 + id);
        }
        await done.CancelAsync();
        await Task.WhenAll(readers);
    }
}
