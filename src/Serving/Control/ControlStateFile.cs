using System.Text.Json;
using KdServing.Contracts;

namespace KdServing.Serving.Control;

/// <summary>Keeps the <see cref="ControlState"/> in a file, so that a pin survives a restart.</summary>
/// <param name="path">Null: the state lives as long as the process.</param>
public sealed class ControlStateFile(string? path)
{
    /// <summary>True when what is saved survives a restart.</summary>
    public bool IsDurable => path is not null;

    /// <exception cref="ContractException">The file is there and is not a state.</exception>
    public ControlState Load()
    {
        if (path is null || !File.Exists(path))
            return new();
        try
        {
            return JsonSerializer.Deserialize<ControlState>(File.ReadAllBytes(path), ContractJson.Options)
                ?? throw new ContractException("--state", $"{Path.GetFileName(path)} is empty; remove it to begin without pins");
        }
        catch (JsonException e)
        {
            throw new ContractException("--state", $"{Path.GetFileName(path)} is not valid ({e.Message}); mend it, or remove it to begin without pins");
        }
    }

    /// <summary>Whole or not at all.</summary>
    /// <exception cref="IOException">The disk refuses.</exception>
    public void Save(ControlState state)
    {
        if (path is null)
            return;
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        DurableFile.Replace(path, s => s.Write(JsonSerializer.SerializeToUtf8Bytes(state, ContractJson.Options)));
    }
}
