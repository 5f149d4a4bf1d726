using KdServing.Serving.Models;

namespace KdServing.Serving;

/// <summary>Every message the server logs.</summary>
internal static partial class ServingLog
{
    [LoggerMessage(1, LogLevel.Information, "device {Device}: {Reason}")]
    public static partial void DeviceChosen(this ILogger log, string device, string reason);

    [LoggerMessage(2, LogLevel.Information, "ranking with model '{Model}' from {Repository} on port {Port}; status page: {Page}")]
    public static partial void Started(this ILogger log, string model, string repository, int port, string page);

    [LoggerMessage(3, LogLevel.Information, "requests wait up to {BudgetUs} µs to be scored together, up to {Candidates} candidates; those of the hand-written kernel do not")]
    public static partial void BatchingChosen(this ILogger log, int budgetUs, int candidates);

    [LoggerMessage(10, LogLevel.Information, "version {Version} of '{Model}' is in service (before: {Previous}; {Records} records learned)")]
    public static partial void Swapped(this ILogger log, long version, string model, long previous, long records);

    [LoggerMessage(11, LogLevel.Warning, "version {Version} is refused: {Reason} ({Consequence})")]
    public static partial void VersionRefused(this ILogger log, long version, string reason, string consequence);

    [LoggerMessage(12, LogLevel.Warning, "the model repository can not be read: {Reason}")]
    public static partial void RepositoryUnreadable(this ILogger log, string reason);

    [LoggerMessage(13, LogLevel.Error, "loading version {Version} failed unexpectedly")]
    public static partial void LoadFailed(this ILogger log, Exception exception, long version);

    [LoggerMessage(14, LogLevel.Warning, "version {Bad} is rolled back to version {Good}: {Reason}")]
    public static partial void RolledBack(this ILogger log, long bad, long good, string reason);

    [LoggerMessage(15, LogLevel.Information, "version {Version} is a canary for {Share} of the requests; version {Current} keeps the rest")]
    public static partial void CanaryBegan(this ILogger log, long version, double share, long current);

    [LoggerMessage(16, LogLevel.Warning, "canary {Version} is dropped: {Reason}")]
    public static partial void CanaryDropped(this ILogger log, long version, string reason);

    [LoggerMessage(17, LogLevel.Warning, "no version is taken any more until a person releases the hold: {Reason}")]
    public static partial void Held(this ILogger log, string reason);

    [LoggerMessage(18, LogLevel.Warning, "the state of pins is not saved: {Reason}; what was told to this server may be lost at a restart")]
    public static partial void StateNotSaved(this ILogger log, string reason);

    [LoggerMessage(19, LogLevel.Warning, "version {Version} failed a request that version {Other} answered: {Reason}")]
    public static partial void AnsweredByOther(this ILogger log, long version, long other, string reason);

    [LoggerMessage(20, LogLevel.Warning, "waiting for Redis at {Endpoint} ({Reason}); until then new versions are found in the repository's folder")]
    public static partial void RedisAway(this ILogger log, string endpoint, string reason);

    [LoggerMessage(21, LogLevel.Information, "Redis at {Endpoint} answers again")]
    public static partial void RedisBack(this ILogger log, string endpoint);

    [LoggerMessage(25, LogLevel.Warning, "version {Version} is scored by {Engine}; a faster way was refused: {Reason}")]
    public static partial void EngineRefused(this ILogger log, long version, ScoringEngine engine, string reason);

    [LoggerMessage(30, LogLevel.Error, "scoring failed with version {Version}")]
    public static partial void ScoringFailed(this ILogger log, Exception exception, long version);

    [LoggerMessage(31, LogLevel.Error, "a request failed unexpectedly")]
    public static partial void RequestFailed(this ILogger log, Exception exception);

    [LoggerMessage(32, LogLevel.Warning, "status not written: {Reason}; ranking goes on, the next second tries again")]
    public static partial void StatusNotWritten(this ILogger log, string reason);

    [LoggerMessage(33, LogLevel.Warning, "version {Version} can not be fetched through Redis: {Reason}")]
    public static partial void NotFetched(this ILogger log, long version, string reason);

    [LoggerMessage(34, LogLevel.Warning, "pinned version {Pinned} can not be had; version {Version} is served until it can")]
    public static partial void PinNotMet(this ILogger log, long pinned, long version);

    [LoggerMessage(35, LogLevel.Information, "control: {Command} ({Caller})")]
    public static partial void Commanded(this ILogger log, string command, string caller);

    [LoggerMessage(36, LogLevel.Information, "model control listens on {Address}:{Port} ({Access})")]
    public static partial void ControlStarted(this ILogger log, string address, int port, string access);

    [LoggerMessage(37, LogLevel.Warning, "version {Version} is not kept on this server's disk: {Reason}")]
    public static partial void NotKept(this ILogger log, long version, string reason);

    [LoggerMessage(40, LogLevel.Information, "stopping: requests in flight are answered, new ones are refused")]
    public static partial void Stopping(this ILogger log);

    [LoggerMessage(50, LogLevel.Information, "item catalog: {Items} items restored from the snapshot of {Created:u}, the stream goes on after {Position}")]
    public static partial void CatalogRestored(this ILogger log, int items, DateTimeOffset created, string position);

    [LoggerMessage(51, LogLevel.Warning, "item catalog: snapshot {File} is not used: {Reason}")]
    public static partial void SnapshotRefused(this ILogger log, string file, string reason);

    [LoggerMessage(52, LogLevel.Warning, "item catalog: no snapshot written: {Reason}; the last one stays, the next is due in {Interval}")]
    public static partial void SnapshotNotWritten(this ILogger log, string reason, TimeSpan interval);

    [LoggerMessage(53, LogLevel.Warning, "item catalog: {Place} is left out: {Reason}")]
    public static partial void ItemsRefused(this ILogger log, string place, string reason);

    [LoggerMessage(54, LogLevel.Information, "item catalog: {Items} items from {File} ({Refused} lines or messages left out)")]
    public static partial void ItemsFileRead(this ILogger log, int items, string file, long refused);

    [LoggerMessage(55, LogLevel.Warning, "item catalog: the item stream was trimmed beyond {Position}, where this catalog stood; if items were put or removed in between they are not known here, and every item must be put again")]
    public static partial void ItemsTrimmed(this ILogger log, string position);

    [LoggerMessage(56, LogLevel.Information, "item catalog: version {Version} has {Share:P1} of the requested items after {Seconds:0.00} s; {Left} items follow in the background")]
    public static partial void VectorsReady(this ILogger log, long version, double share, double seconds, int left);

    [LoggerMessage(57, LogLevel.Error, "item catalog: the feed failed and begins again in {Delay}")]
    public static partial void CatalogFeedFailed(this ILogger log, Exception exception, TimeSpan delay);

    [LoggerMessage(58, LogLevel.Error, "the device does not score any more, the processor does: {Reason}")]
    public static partial void DeviceFailed(this ILogger log, string reason);

    [LoggerMessage(59, LogLevel.Information, "version {Version} rehearsed: {Answered} sample requests answered and {Refused} refused in {Seconds:0.00} s")]
    public static partial void Rehearsed(this ILogger log, long version, int answered, int refused, double seconds);

    [LoggerMessage(60, LogLevel.Warning, "version {Version} is served without a rehearsal, the first requests will be slow")]
    public static partial void RehearsalFailed(this ILogger log, Exception exception, long version);
}
