using System.Text.Json;
using KdServing.Contracts;

namespace KdServing.Serving.Status;

/// <summary>Writes the status to a file once a second, whole or not at all, for a supervisor that shares no port with us.</summary>
/// <remarks>A disk that refuses is said once and tried again: the file grows stale, requests are answered all the same.</remarks>
public sealed class StatusFile(string path, ServingStatus status, ILogger<StatusFile> log) : BackgroundService
{
    private bool refused;

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(TimeSpan.FromSeconds(1));
        do
            Write();
        while (await NextAsync(timer, stoppingToken));
        Write();
    }

    private void Write()
    {
        try
        {
            var temporary = $"{path}.{Environment.ProcessId}.tmp";
            File.WriteAllBytes(temporary, JsonSerializer.SerializeToUtf8Bytes(status.Report(), ContractJson.Options));
            File.Move(temporary, path, overwrite: true);
            refused = false;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            if (!refused)
                log.StatusNotWritten(e.Message);
            refused = true;
        }
    }

    private static async Task<bool> NextAsync(PeriodicTimer timer, CancellationToken stopping)
    {
        try
        {
            return await timer.WaitForNextTickAsync(stopping);
        }
        catch (OperationCanceledException)
        {
            return false;
        }
    }
}
