using System.Diagnostics;
using System.Globalization;

namespace KdServing.Compat.Tests.Peers;

/// <summary>A gRPC implementation that is not ours: a program that is a server, or a client that runs every case.</summary>
public sealed class ForeignPeer(string tool, string package, string directory, params IReadOnlyList<string> arguments)
{
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(2);

    public async Task<ForeignServer> StartServerAsync(TestCertificate certificate)
    {
        var process = Start("server", certificate.CertificateFile, certificate.KeyFile);
        var line = await process.StandardOutput.ReadLineAsync().WaitAsync(Patience);
        var words = line?.Split(' ') ?? [];
        if (words is not ["port", var plain, var tls])
            throw new InvalidOperationException($"{tool} did not start: {line} {await process.StandardError.ReadToEndAsync()}");

        return new ForeignServer(process, int.Parse(plain, CultureInfo.InvariantCulture), int.Parse(tls, CultureInfo.InvariantCulture));
    }

    /// <summary>Lets the client make unary calls with a payload of that size, one after the other.</summary>
    public async Task CallAsync(Uri server, int calls, int payloadBytes)
    {
        using var process = Start("load", server.Authority, $"{calls}", $"{payloadBytes}");
        var errors = await process.StandardError.ReadToEndAsync().WaitAsync(Patience);
        await process.WaitForExitAsync();
        if (process.ExitCode != 0)
            throw new InvalidOperationException($"{tool} ended with {process.ExitCode}: {errors}");
    }

    /// <summary>The outcome of each case: "ok", or why it failed.</summary>
    public async Task<IReadOnlyDictionary<string, string>> RunClientAsync(Uri server, string? roots)
    {
        using var process = roots is null ? Start("client", server.Authority) : Start("client", server.Authority, roots);
        var errors = process.StandardError.ReadToEndAsync();
        var outcomes = new Dictionary<string, string>();
        while (await process.StandardOutput.ReadLineAsync().WaitAsync(Patience) is { } line)
            if (line.Split(' ', 2) is [var name, var outcome])
                outcomes[name] = outcome;

        await process.WaitForExitAsync();
        return process.ExitCode == 0
            ? outcomes
            : throw new InvalidOperationException($"{tool} ended with {process.ExitCode}: {await errors}");
    }

    private Process Start(string mode, params IReadOnlyList<string> modeArguments)
    {
        // A program takes its mode first, then what this peer needs, then the arguments of the mode.
        var script = arguments.Count > 0 ? arguments.Take(1) : [];
        return Command.Start(tool, package, directory, [.. script, mode, .. arguments.Skip(1), .. modeArguments]);
    }
}

/// <summary>A foreign server, which ends when its input closes.</summary>
public sealed class ForeignServer(Process process, int plainPort, int tlsPort) : IDisposable
{
    public Uri Address(bool isTls) => isTls ? new Uri($"https://127.0.0.1:{tlsPort}") : new Uri($"http://127.0.0.1:{plainPort}");

    public void Dispose()
    {
        process.StandardInput.Close();
        if (!process.WaitForExit(TimeSpan.FromSeconds(5)))
            process.Kill();
        process.Dispose();
    }
}
