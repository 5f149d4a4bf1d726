namespace KdServing.Distiller.Offline;

/// <summary>One way of training students side by side on a dataset: in epochs over files, or once in event order.</summary>
public interface IComparison
{
    /// <summary>The teacher on what is reported; null when the data has no teacher's logits there.</summary>
    OfflineMetrics? Teacher { get; }

    /// <summary>Why a contender can not be trained on this data; null when it can.</summary>
    string? Missing(Contender contender);

    /// <summary>Trains one student; equal arguments give equal results.</summary>
    /// <param name="progress">Called with the share that is done.</param>
    /// <exception cref="OperationCanceledException">Asked to stop.</exception>
    StudentRun Run(Contender contender, int seed, Action<double> progress, CancellationToken cancellation);
}
