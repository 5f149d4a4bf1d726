using System.Globalization;

namespace KdServing.LoadTests.Demo;

/// <summary>How each part is started: the same commands a person would type, with ports and folders of this run.</summary>
internal sealed class DemoProcesses(DemoOptions options, DemoDataset dataset, DemoFolder folder)
{
    // Serving comes first: a late reply is a lost candidate. Then what keeps it fresh, then the replayed teacher.
    private const int ServingNiceness = 0;
    private const int DistillerNiceness = 5;
    private const int TeacherNiceness = 10;

    private readonly int servingPort = FreePort.Next();
    private readonly int statusPort = FreePort.Next();

    public int RedisPort { get; } = FreePort.Next();

    public string Model => dataset.Schema.Name;

    public Uri ServingAddress => new($"http://127.0.0.1:{servingPort}");

    public Uri StatusPage => new($"http://127.0.0.1:{statusPort}/");

    public Uri ServingStatusAddress => new(StatusPage, "status.json");

    public ChildSpec Redis => PrivateRedis.Spec(folder, RedisPort);

    public ChildSpec Serving => new("serving", ServingNiceness, folder.Log("serving"),
    [
        "dotnet", Installation.Serving, "--repository", folder.Repository, "--model", Model, "--redis", RedisAddress,
        "--port", Text(servingPort), "--http-port", Text(statusPort), "--device", options.Device,
        .. (string[])(options.Catalog ? ["--catalog", folder.Catalog] : []),
    ]);

    public ChildSpec Distiller => new("distiller", DistillerNiceness, folder.Log("distiller"),
    [
        "dotnet", Installation.Distiller, "--config", dataset.DistillerConfig, "--redis", RedisAddress,
        "--repository", folder.Repository, "--state", folder.DistillerState, "--status", folder.DistillerStatus,
        "--frozen-after-seconds", Text(Math.Max(1, options.Seconds / 3)),
    ]);

    public ChildSpec Teacher => new("teacher", TeacherNiceness, folder.Log("teacher"),
    [
        "dotnet", Installation.LoadTests, "teach", "--data", dataset.Argument, "--redis", RedisAddress, "--model", Model,
        "--rate", "auto", "--pace-by", folder.DistillerStatus, "--seconds", Text(options.Seconds),
        "--status", folder.TeacherStatus, "--produced-log", folder.ProducedLog,
        "--cache", Path.Combine(Installation.Root, ".kd", "cache", "teacher"),
    ])
    {
        HasFinished = () => StatusFile.Read(folder.TeacherStatus).Text("phase") == "done",
    };

    public string RedisAddress => $"127.0.0.1:{RedisPort}";

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);
}
