using KdServing.Contracts;
using StackExchange.Redis;

namespace KdServing.Serving.Models;

/// <summary>Talks with Redis about versions: hears of published ones, tells of those in service. Redis may be away at any time.</summary>
/// <remarks>One caller at a time.</remarks>
/// <param name="server">Name of this server in the announcements.</param>
public sealed class AnnouncementFeed(VersionAnnouncements announcements, string endpoint, string server, ILogger<AnnouncementFeed> log)
{
    private StreamId? seen;
    private long? untold;
    private bool away;

    /// <summary>False while Redis does not answer.</summary>
    public bool IsConnected => !away;

    /// <summary>True when something was announced since the last call; also tells what could not be told before.</summary>
    public async Task<bool> HasNewsAsync()
    {
        if (untold is { } version)
        {
            await TellServedAsync(version);
            // A Redis that answers but can not be written to is away for us: the folder is looked at meanwhile.
            if (untold is not null)
                return false;
        }
        var newest = seen;
        await TryAsync(async () => newest = (await announcements.NewestPublishedAsync())?.Id);
        var news = newest != seen;
        seen = newest;
        return news;
    }

    /// <summary>Announces that this server ranks with a version; now, or as soon as Redis answers.</summary>
    public async Task TellServedAsync(long version) =>
        untold = await TryAsync(() => announcements.ServedAsync(version, server)) ? null : version;

    private async Task<bool> TryAsync(Func<Task> call)
    {
        try
        {
            await call();
            if (away)
                log.RedisBack(endpoint);
            away = false;
            return true;
        }
        catch (Exception e) when (e is RedisException or TimeoutException)
        {
            if (!away)
                log.RedisAway(endpoint, e is RedisConnectionException ? "no connection" : e is TimeoutException ? "no answer in time" : e.Message);
            away = true;
            return false;
        }
    }
}
