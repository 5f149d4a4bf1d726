using System.Text.Json;
using System.Text.Json.Nodes;
using KdServing.LoadTests.Traffic;

namespace KdServing.LoadTests.Load;

/// <summary>The time in which each version's swap can disturb requests.</summary>
/// <remarks>
/// With the server's status page (<c>--status</c>) it is exact: from the start of loading to <see cref="AfterDisposalMs"/> after the old version was
/// disposed, by the server's ledger. Without, it is guessed from the first reply.
/// </remarks>
/// <param name="status">Address of the server's HTTP port; null: guess.</param>
internal sealed class SwapWindows(Uri? status)
{
    private const double AfterDisposalMs = 250;
    private const double BeforeFirstReplyMs = 1000;
    private const double AfterFirstReplyMs = 500;

    private static readonly HttpClient Http = new() { Timeout = TimeSpan.FromSeconds(5) };

    private readonly Dictionary<long, (double From, double To)> known = [];

    /// <summary>Asks the server what it has swapped in. A server that does not answer leaves the guess.</summary>
    public async Task LookAsync()
    {
        if (status is null)
            return;
        try
        {
            var json = JsonNode.Parse(await Http.GetStringAsync(new Uri(status, "/status.json")));
            foreach (var entry in json?["swaps"]?.AsArray() ?? [])
            {
                var end = Number(entry, "disposed_ms") ?? Number(entry, "drained_ms") ?? Number(entry, "swapped_ms");
                if (Number(entry, "version") is { } version && Number(entry, "load_started_ms") is { } start && end is { } last)
                    known[(long)version] = (start, last + AfterDisposalMs);
            }
        }
        catch (Exception e) when (e is HttpRequestException or TaskCanceledException or JsonException)
        {
            // The percentiles inside and outside swaps rest on the guess then.
        }
    }

    /// <summary>From and to, milliseconds since the Unix epoch.</summary>
    public (double FromMs, double ToMs) Of(VersionReplies version) => known.TryGetValue(version.Version, out var window)
        ? window
        : (version.FirstReplyUnixMs - BeforeFirstReplyMs, version.FirstReplyUnixMs + AfterFirstReplyMs);

    private static double? Number(JsonNode? entry, string key) =>
        entry?[key] is { } node && node.GetValueKind() == JsonValueKind.Number ? node.GetValue<double>() : null;
}
