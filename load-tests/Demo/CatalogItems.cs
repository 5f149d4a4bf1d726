using KdServing.Contracts;
using KdServing.LoadTests.Load;
using KdServing.LoadTests.Teaching;
using StackExchange.Redis;

namespace KdServing.LoadTests.Demo;

/// <summary>Plays whoever knows the items: puts each on the item stream when it first appears, and turns requests into requests by id.</summary>
/// <remarks>
/// A new item's first requests may overtake it, as in life: the server scores them with its cold-start vector. One thread asks, Redis is
/// written beside it.
/// </remarks>
internal sealed class CatalogItems(string redisAddress, FeatureSchema schema) : IDisposable
{
    private readonly ConnectionMultiplexer connection = RedisConnection.Open(redisAddress, CancellationToken.None);
    private readonly HashSet<long> seen = [];
    private ItemStream? stream;
    private Task writing = Task.CompletedTask;

    /// <summary>Items put so far.</summary>
    public int Put => seen.Count;

    /// <summary>The same request by the ids of its first item column; items it names for the first time are on their way to the catalog.</summary>
    /// <exception cref="LoadException">Ids are not integers.</exception>
    public RankRequest ById(RankRequest request)
    {
        stream ??= new(connection.GetDatabase(), schema.Name);
        // By the convention of datasets the first item column is the item's id.
        var idFeature = request.Item[0].Name;
        foreach (var batch in CatalogRequest.Items([request], idFeature, schema, seen).Where(b => b.Put.Count > 0))
            writing = AppendAsync(writing, stream, batch);
        return CatalogRequest.Of(request, idFeature, schema);
    }

    public void Dispose() => connection.Close(allowCommandsToComplete: false);

    // In order, so that what is put later stands later.
    private async Task AppendAsync(Task before, ItemStream items, ItemBatch batch)
    {
        await before;
        while (true)
        {
            try
            {
                await items.AppendAsync(batch, schema);
                return;
            }
            catch (Exception e) when (LogitStreamWriter.IsTransient(e))
            {
                await Task.Delay(500);
            }
        }
    }
}
