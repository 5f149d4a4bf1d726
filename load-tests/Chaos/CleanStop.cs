using KdServing.Distiller.Checkpoints;
using KdServing.LoadTests.Demo;

namespace KdServing.LoadTests.Chaos;

/// <summary>Ends the Distiller in office so that all it was given is in one full checkpoint, which can be hashed and accounted for.</summary>
internal static class CleanStop
{
    private const int Attempts = 3;

    /// <summary>Lets it come to the end of a stream and stops it in order; starts it again when the stop left its state to a recovery.</summary>
    /// <remarks>
    /// A stop that comes while the journal is still followed, or just after a fault of Redis, ends without a checkpoint of its own. Nothing is lost by it,
    /// but the newest checkpoint is an older one, and that may well be a full one: its position tells.
    /// </remarks>
    /// <param name="lastAsync">Id of the stream's last entry.</param>
    /// <param name="patience">For coming to the end, and again for stopping.</param>
    /// <returns>False when it had to be killed.</returns>
    /// <exception cref="DemoException">It does not come to the end, or leaves no such checkpoint.</exception>
    public static async Task<bool> RunAsync(ChaosSystem system, string streamKey, Func<Task<string>> lastAsync, TimeSpan patience, CancellationToken cancellation)
    {
        var inOrder = true;
        for (var attempt = 1; attempt <= Attempts; attempt++)
        {
            if (!system.IsRunning("distiller"))
                system.StartDistiller();
            var last = "";
            await system.UntilAsync(async () => system.Distiller.Text("position", streamKey) == (last = await lastAsync()), patience,
                "the Distiller to work through the stream", cancellation);
            inOrder &= await system.StopInOrderAsync("distiller", patience);
            var newest = UndisturbedRun.Newest(system.State).Manifest;
            if (newest.Kind == CheckpointKind.Full && newest.Streams.TryGetValue(streamKey, out var state) && state.Position == last)
                return inOrder;
        }
        throw new DemoException($"{Attempts} stops in order left no full checkpoint of the whole stream in {system.State}");
    }
}
