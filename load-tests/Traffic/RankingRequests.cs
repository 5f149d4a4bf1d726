using KdServing.Contracts;
using KdServing.Datasets;

namespace KdServing.LoadTests.Traffic;

/// <summary>An endless source of ranking requests that follows a replay of a dataset. Used by one thread.</summary>
/// <param name="Next">The request to send at an offset in seconds from the start; offsets never decrease.</param>
/// <param name="EventTimeMs">Event time the replay has reached.</param>
public sealed record RankingRequests(Func<double, RankRequest> Next, Func<long> EventTimeMs)
{
    /// <summary>Requests in the manner of the dataset: a click log's candidates are drawn from its recent clicks, others gathered from recent impressions.</summary>
    /// <remarks>Reads the history first, which takes a second or two for a log of half a million clicks.</remarks>
    public static RankingRequests Open(DatasetReader reader, RequestOptions options)
    {
        if (reader.Description.ClickLog is not null)
        {
            var requests = new ClickLogRequests(reader, options);
            return new(requests.Next, () => requests.EventTimeMs);
        }
        else
        {
            var requests = new ImpressionRequests(reader, options);
            return new(requests.Next, () => requests.EventTimeMs);
        }
    }
}
