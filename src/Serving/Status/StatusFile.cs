using System.Text.Json;
using KdServing.Contracts;

namespace KdServing.Serving.Status;

/// <summary>Writes the status to a file once a second, whole or not at all, for a supervisor that shares no port with us.</summary>
public sealed class StatusFile(string path, ServingStatus status) : BackgroundService
{
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
        var temporary = $"{path}.{Environment.ProcessId}.tmp";
        File.WriteAllBytes(temporary, JsonSerializer.SerializeToUtf8Bytes(status.Report(), ContractJson.Options));
        File.Move(temporary, path, overwrite: true);
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
