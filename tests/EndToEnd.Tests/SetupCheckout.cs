using System.Diagnostics;

namespace KdServing.EndToEnd.Tests;

/// <summary>
/// A copy of <c>./kd</c> in a temporary folder whose tools (dotnet, npm, apt-get, dpkg-query) are small scripts that note their
/// arguments, so that a test sees what the set-up decides to do, in milliseconds and without changing the machine.
/// </summary>
internal sealed class SetupCheckout : IDisposable
{
    private static readonly string[] Parts = ["kd", "kd.d", "global.json", "package-lock.json", ".editorconfig", "KdServing.sln"];

    // The folder has a space in its name on purpose.
    private readonly string folder = Directory.CreateTempSubdirectory("kd set-up ").FullName;

    public SetupCheckout()
    {
        Directory.CreateDirectory(Tools);
        foreach (string part in Parts)
        {
            Process.Start("cp", ["-r", Path.Combine(RepositoryRoot, part), folder]).WaitForExit();
        }

        foreach (string source in new[] { "src", "compat", "load-tests", "benchmarks", "tests" })
        {
            Directory.CreateDirectory(Path.Combine(folder, source));
        }

        Write("Directory.Build.props", "<Project />");
        Write("Directory.Build.targets", "<Project />");
        Write("src/Program.cs", "// a source");
        AddTool("dotnet", """
            case $1 in
              --version) echo 10.0.100 ;;
              build) sleep 0.2; mkdir -p src/Serving/bin/Release/net10.0; touch src/Serving/bin/Release/net10.0/KdServing.Serving.dll; exit "${BUILD_STATUS:-0}" ;;
              test) name=$(basename "$2" .dll)
                    for argument; do case $argument in trx*) report=${argument#trx;LogFileName=} ;; esac; done
                    if [[ -f ../$name.trx ]]; then cp "../$name.trx" "$report"; fi
                    if [[ -f ../$name.status ]]; then exit "$(cat "../$name.status")"; fi ;;
              *.dll) echo "ran $*" ;;
            esac
            """);
        AddTool("npm", "mkdir -p node_modules; cp package-lock.json node_modules/.package-lock.json");
        AddTool("dpkg-query", """
            for argument; do [[ -f "$(dirname "$0")/../lacks-$argument" ]] || echo "ii  $argument"; done
            """);
        AddTool("apt-get", """
            for argument; do rm -f "$(dirname "$0")/../lacks-$argument"; done
            """);
        AddTool("dpkg", "");
        AddTool("redis-server", "");
    }

    private string Tools => Path.Combine(folder, "tools");

    private static string RepositoryRoot
    {
        get
        {
            DirectoryInfo? candidate = new(AppContext.BaseDirectory);
            while (candidate is not null && !File.Exists(Path.Combine(candidate.FullName, "KdServing.sln")))
            {
                candidate = candidate.Parent;
            }

            return candidate?.FullName ?? throw new InvalidOperationException("these tests run inside a checkout");
        }
    }

    /// <summary>Every call of a tool that does something, in order: <c>npm ci …</c>, <c>dotnet build …</c>.</summary>
    public string[] Calls => [.. File.ReadAllLines(Path.Combine(folder, "calls"))
        .Where(call => call is not "dotnet --version" && !call.StartsWith("dpkg", StringComparison.Ordinal))];

    public void Write(string path, string text) => File.WriteAllText(Path.Combine(folder, path), text);

    /// <summary>Pretends that a Debian package is not installed, until apt-get is asked for it.</summary>
    public void Lacks(string package) => Write($"lacks-{package}", "");

    /// <summary>Adds a test project whose run leaves this report (none: it leaves no report) and this exit status.</summary>
    public void AddTestProject(string name, (int Total, int Executed, int Passed)? counters, int status = 0)
    {
        Directory.CreateDirectory(Path.Combine(folder, "tests", name));
        Write($"tests/{name}/{name}.csproj", "<Project />");
        Write($"tests/{name}.status", status.ToString(System.Globalization.CultureInfo.InvariantCulture));
        if (counters is var (total, executed, passed))
        {
            Write($"tests/{name}.trx", $"""<TestRun><Counters total="{total}" executed="{executed}" passed="{passed}" failed="0" /></TestRun>""");
        }
    }

    public Process Start(string arguments, params (string Name, string Value)[] environment)
    {
        ProcessStartInfo start = new("/bin/bash", ["-c", $"exec ./kd {arguments}"])
        {
            WorkingDirectory = folder,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        start.Environment["PATH"] = $"{Tools}:{Environment.GetEnvironmentVariable("PATH")}";
        foreach ((string name, string value) in environment)
        {
            start.Environment[name] = value;
        }

        return Process.Start(start)!;
    }

    public async Task<(int Status, string Output, string Error)> RunAsync(string arguments, params (string Name, string Value)[] environment)
    {
        using Process process = Start(arguments, environment);
        Task<string> output = process.StandardOutput.ReadToEndAsync();
        Task<string> error = process.StandardError.ReadToEndAsync();
        await process.WaitForExitAsync().WaitAsync(TimeSpan.FromSeconds(60));
        return (process.ExitCode, await output, await error);
    }

    public void Dispose() => Directory.Delete(folder, recursive: true);

    private void AddTool(string name, string body)
    {
        string path = Path.Combine(Tools, name);
        File.WriteAllText(path, $"#!/bin/bash\necho \"{name} $*\" >>\"$(dirname \"$0\")/../calls\"\n{body}\n");
        Process.Start("chmod", ["+x", path]).WaitForExit();
    }
}
