using System.CommandLine;

namespace KdServing.LoadTests;

/// <summary>An option that names a file to write at the end of a run.</summary>
internal static class OutputFile
{
    /// <summary>Refuses a folder that is not there before the run, whose figures would be lost after it.</summary>
    public static Option<string?> Option(string name, string description)
    {
        var option = new Option<string?>(name) { Description = description };
        option.Validators.Add(r =>
        {
            if (r.GetValueOrDefault<string?>() is { } path && !Directory.Exists(Path.GetDirectoryName(Path.GetFullPath(path))))
                r.AddError($"{name}: there is no folder {Path.GetDirectoryName(Path.GetFullPath(path))}");
        });
        return option;
    }
}
