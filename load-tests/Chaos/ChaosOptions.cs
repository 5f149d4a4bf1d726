namespace KdServing.LoadTests.Chaos;

/// <summary>What a chaos run is told; the options of <c>kd chaos</c>.</summary>
/// <param name="Minutes">Length of the time with faults; draining and the undisturbed run come after it.</param>
/// <param name="Only">One drill instead of everything mixed; null: mixed.</param>
/// <param name="Count">Repetitions of a drill; null: its default.</param>
/// <param name="Data">Folder of a dataset; null: generated impressions and a small student.</param>
/// <param name="Rate">Ranking requests a second.</param>
/// <param name="RecordRate">Records a second.</param>
/// <param name="PoisonShare">Share of stream entries that are poison.</param>
/// <param name="Folder">Where the run keeps its files; replaced at start.</param>
internal sealed record ChaosOptions(double Minutes, int Seed, string? Only, int? Count, string? Data, double Rate, double RecordRate,
    double PoisonShare, string Folder)
{
    /// <summary>Where progress goes.</summary>
    public Action<string> Say { get; init; } = _ => { };
}
