using System.ComponentModel;
using System.Diagnostics;

namespace KdServing.Compat.Tests.Peers;

/// <summary>Runs the tools that build the foreign peers, and says which Debian package brings a missing one.</summary>
internal static class Command
{
    public static async Task RunAsync(string tool, string package, string directory, params IEnumerable<string> arguments)
    {
        using var process = Start(tool, package, directory, arguments);
        var errors = process.StandardError.ReadToEndAsync();
        var output = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        if (process.ExitCode != 0)
            throw new InvalidOperationException(
                $"'{tool}' ended with {process.ExitCode} (Debian package {package}):\n{output}\n{await errors}");
    }

    public static Process Start(string tool, string package, string directory, params IEnumerable<string> arguments)
    {
        var start = new ProcessStartInfo(tool, arguments)
        {
            WorkingDirectory = directory,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        start.Environment["NODE_PATH"] = Path.Combine(directory, "node_modules");
        try
        {
            return Process.Start(start)!;
        }
        catch (Win32Exception exception)
        {
            throw new InvalidOperationException($"'{tool}' was not found: install the Debian package {package}.", exception);
        }
    }
}
