using System.CommandLine;
using System.Globalization;
using System.Runtime.InteropServices;
using KdServing.Contracts;
using KdServing.Datasets;
using KdServing.Serving.Catalog;
using KdServing.Serving.Kernels;
using KdServing.Serving.Models;
using KdServing.Serving.Ranking;

namespace KdServing.Benchmarks.Catalog;

/// <summary><c>bench catalog-quality</c>: what the catalog and its vector formats do to scores and GAUC, on real impressions.</summary>
internal static class CatalogQualityCommand
{
    public const string Verb = "catalog-quality";

    private const int Best = 10;

    public static Command Create()
    {
        var data = new Option<string>("--data") { Description = "Folder of the dataset", Required = true };
        var repository = new Option<string>("--repository") { Description = "Model repository, e.g. of a demo: .kd/demo/repository", Required = true };
        var impressions = new Option<int>("--impressions") { Description = "Impressions to rank", DefaultValueFactory = _ => 20_000 };
        var command = new Command(Verb, "Ranks impressions the newest version has not learned: with features inline, by item id with float32 vectors, and with bfloat16 ones.")
        {
            data, repository, impressions,
        };
        command.SetAction(async (result, _) =>
        {
            await RunAsync(result.GetRequiredValue(data), result.GetRequiredValue(repository), result.GetValue(impressions), result.InvocationConfiguration.Output);
            return 0;
        });
        return command;
    }

    private static async Task RunAsync(string data, string repository, int count, TextWriter output)
    {
        var reader = DatasetReader.Open(data, SampleCatalog.FindRoot());
        var schema = FeatureSchema.Load(Path.Combine(reader.SamplePath, "schema.json"));
        using var runtime = InferenceRuntime.Open(InferenceDevice.Cpu);
        using var pool = new ScoringBufferPool();
        var models = new ModelRepository(repository);
        var newest = models.Versions(schema.Name)[^1];
        var loader = new ServableLoader(models, runtime, pool, new(), TimeSpan.FromSeconds(1));
        var folder = Directory.CreateTempSubdirectory("kd-bench-").FullName;
        Side[] sides = [await Side.MakeAsync(loader, schema, newest, null, folder), await Side.MakeAsync(loader, schema, newest, ItemVectorFormat.Float32, folder),
            await Side.MakeAsync(loader, schema, newest, ItemVectorFormat.BFloat16, folder)];
        var watermark = sides[0].Servable.Manifest.WatermarkMs;
        var ranked = 0;
        foreach (var impression in reader.Read(DatasetPart.Replay, watermark + 1))
        {
            var request = impression.ToRankRequest(schema.Name, schema.Fingerprint);
            var expected = await sides[0].ScoreAsync(request, schema);
            foreach (var side in sides)
                side.Add(await side.ScoreAsync(request, schema), expected, impression.LabelStates(schema.Targets[0]));
            if (++ranked == count)
                break;
        }
        await output.WriteLineAsync(string.Create(CultureInfo.InvariantCulture,
            $"version {newest} of '{schema.Name}', {ranked:N0} impressions after what it has learned ({DateTimeOffset.FromUnixTimeMilliseconds(watermark):u})"));
        foreach (var side in sides)
        {
            await output.WriteLineAsync(string.Create(CultureInfo.InvariantCulture,
                $"  {side.Name,-28} GAUC {side.Gauc.Mean:0.000000}, largest difference of a logit {side.LargestDifference:0.0000000}, mean {side.MeanDifference:0.0000000}, same best {Best} in {side.SameBestShare:P2}"));
            await side.DisposeAsync();
        }
        Directory.Delete(folder, recursive: true);
    }

    /// <summary>One way to rank: its own servable and, by id, its own catalog.</summary>
    private sealed class Side : IAsyncDisposable
    {
        private readonly NicedThread thread = new("kd-catalog", 0);
        private readonly ItemCatalog? catalog;
        private double differences;
        private long values;
        private long sameBest;
        private long lists;

        private Side(Servable servable, ItemVectorFormat? format, string folder)
        {
            Servable = servable;
            Name = format is { } f ? $"by id, {f} vectors" : "features inline";
            catalog = format is { } kept ? new(new() { Folder = folder, Format = kept }, thread) : null;
        }

        public Servable Servable { get; }

        public string Name { get; }

        public GroupedAuc Gauc { get; } = new();

        public float LargestDifference { get; private set; }

        public double MeanDifference => differences / values;

        public double SameBestShare => (double)sameBest / lists;

        public static async Task<Side> MakeAsync(ServableLoader loader, FeatureSchema schema, long version, ItemVectorFormat? format, string folder)
        {
            var side = new Side(loader.Load(schema.Name, version, held: null), format, folder);
            if (side.catalog is not null)
            {
                await side.catalog.OpenAsync(schema);
                await side.catalog.PrepareAsync(side.Servable, CancellationToken.None);
            }
            return side;
        }

        public async Task<float[]> ScoreAsync(RankRequest request, FeatureSchema schema)
        {
            var run = Servable.Rent();
            try
            {
                if (catalog is null)
                {
                    Servable.Score(request, run, CallBudget.Unlimited);
                    return run.Logits.ToArray();
                }
                var ids = MemoryMarshal.Cast<byte, long>(request.Item[0].RawInt64.Span).ToArray();
                await catalog.ApplyAsync(new() { Put = { ids }, Features = { request.Item.Where(c => schema.Item.Features.Any(f => f.Name == c.Name)) } });
                var live = request.Clone();
                live.Item.Clear();
                live.Item.AddRange(request.Item.Where(c => schema.Live.Features.Any(f => f.Name == c.Name)));
                var lookup = catalog.Rent();
                lookup.Resolve(Servable.Items!, ids, CallBudget.Unlimited);
                Servable.Score(live, lookup.Vectors, lookup.Format, run, CallBudget.Unlimited);
                catalog.Return(lookup);
                return run.Logits.ToArray();
            }
            finally
            {
                Servable.Return(run);
            }
        }

        public void Add(float[] logits, float[] expected, ReadOnlySpan<byte> states)
        {
            Gauc.Add(logits, states);
            for (var i = 0; i < logits.Length; i++)
            {
                var difference = MathF.Abs(logits[i] - expected[i]);
                LargestDifference = MathF.Max(LargestDifference, difference);
                differences += difference;
            }
            values += logits.Length;
            var (mine, theirs) = (new int[Math.Min(Best, logits.Length)], new int[Math.Min(Best, logits.Length)]);
            TopK.Select(logits, mine);
            TopK.Select(expected, theirs);
            sameBest += mine.AsSpan().SequenceEqual(theirs) ? 1 : 0;
            lists++;
        }

        public async ValueTask DisposeAsync()
        {
            await Servable.RetireAsync();
            Servable.Dispose();
            catalog?.Dispose();
            thread.Dispose();
        }
    }
}
