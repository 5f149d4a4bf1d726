using System.Runtime.InteropServices;
using KdServing.Contracts;
using KdServing.Serving.Models;

namespace KdServing.Benchmarks.Slopes;

/// <summary>One way a request goes.</summary>
/// <param name="Request">Makes a request of so many candidates; the number is its seed.</param>
/// <param name="Send">Has it answered.</param>
internal sealed record SlopePath(string Name, Func<int, int, RankRequest> Request, Func<RankRequest, Task> Send)
{
    public const string CatalogScore = "catalog, look-up and score";

    /// <summary>Inline and by id, each without a wire and as whole requests over loopback, one in flight.</summary>
    public static SlopePath[] All(SlopeServer server)
    {
        var servable = server.Servable;
        var run = servable.Rent();
        var lookup = server.Catalog.Rent();
        return
        [
            new("inline, score", server.Inline, request =>
            {
                servable.Score(request, run, CallBudget.Unlimited);
                return Task.CompletedTask;
            }),
            new(CatalogScore, server.ById, request =>
            {
                lookup.Resolve(servable.Items!, MemoryMarshal.Cast<byte, long>(request.Catalog.RawInt64.Span), CallBudget.Unlimited);
                servable.Score(request, lookup.Vectors, lookup.Format, run, CallBudget.Unlimited);
                lookup.Release();
                return Task.CompletedTask;
            }),
            new("inline, whole request", server.Inline, async request => await server.Client.RankAsync(request)),
            new("catalog, whole request", server.ById, async request => await server.Client.RankAsync(request)),
        ];
    }
}
