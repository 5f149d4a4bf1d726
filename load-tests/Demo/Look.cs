namespace KdServing.LoadTests.Demo;

/// <summary>The newest status of every process.</summary>
internal sealed class Look(DemoFolder folder, HttpClient http, Uri servingStatus)
{
    public StatusFile Teacher { get; private set; } = StatusFile.Empty;

    public StatusFile Distiller { get; private set; } = StatusFile.Empty;

    public StatusFile Serving { get; private set; } = StatusFile.Empty;

    public async Task RefreshAsync()
    {
        Teacher = StatusFile.Read(folder.TeacherStatus);
        Distiller = StatusFile.Read(folder.DistillerStatus);
        try
        {
            Serving = StatusFile.Parse(await http.GetStringAsync(servingStatus));
        }
        catch (Exception e) when (e is HttpRequestException or TaskCanceledException)
        {
            // Starting, restarting or stopping: the last status stands.
        }
    }
}
