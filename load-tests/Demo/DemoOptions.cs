namespace KdServing.LoadTests.Demo;

/// <summary>What a demo runs with; the options of <c>kd demo</c>.</summary>
/// <param name="Data">Folder of a dataset, or null for synthetic interactions.</param>
/// <param name="Seconds">Length of the streaming phase; the teacher's preparation comes before it.</param>
/// <param name="Rate">Ranking requests a second.</param>
/// <param name="Candidates">Candidates a request.</param>
/// <param name="Device">cpu, cuda or auto.</param>
/// <param name="Folder">Where the run keeps its Redis, repository, state and logs; replaced at start.</param>
/// <param name="Catalog">Requests name their candidates by id; their items are put into Serving's catalog over Redis.</param>
public sealed record DemoOptions(string? Data, int Seconds, double Rate, int Candidates, string Device, string? ReportPath,
    string Folder, bool Plain, bool Catalog = false);
