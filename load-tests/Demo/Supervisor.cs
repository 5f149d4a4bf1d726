using System.Globalization;

namespace KdServing.LoadTests.Demo;

/// <summary>Keeps the parts of the demo running: says when one died and starts it again, which continues where it was.</summary>
internal sealed class Supervisor(DemoFolder folder, Action<string> say) : IDisposable
{
    private const int MaxRestarts = 5;

    private readonly List<ChildProcess> children = [];
    private readonly HashSet<string> expectedToEnd = [];
    private readonly Dictionary<string, int> restarts = [];

    /// <summary>Parts that died and were started again.</summary>
    public int Restarts => restarts.Values.Sum();

    public ChildProcess Start(ChildSpec spec)
    {
        var child = Launch(spec);
        children.Add(child);
        return child;
    }

    public ChildProcess this[string name] => children.Last(c => c.Spec.Name == name);

    /// <summary>From now on its end is no accident.</summary>
    public void ExpectEnd(string name) => expectedToEnd.Add(name);

    /// <summary>Looks at every part once; restarts those that died.</summary>
    /// <exception cref="DemoException">A part dies again and again.</exception>
    public void Check()
    {
        for (var i = 0; i < children.Count; i++)
        {
            var child = children[i];
            // A part that ended well before its work was done was told to by somebody else (a plain kill).
            if (!child.HasExited || child.HasFinished || expectedToEnd.Contains(child.Spec.Name))
                continue;
            var count = restarts[child.Spec.Name] = restarts.GetValueOrDefault(child.Spec.Name) + 1;
            if (count > MaxRestarts || child.ExitCode == 2)
            {
                throw new DemoException(
                    $"{child.Spec.Name} {child.ExitReason()}{(count > MaxRestarts ? $" for the {count}th time" : "")}. Its last lines ({child.Spec.LogPath}):\n  {string.Join("\n  ", child.LogTail(8))}");
            }
            say($"{child.Spec.Name} (pid {child.Id}) {child.ExitReason()}; starting it again");
            children[i] = Launch(child.Spec);
            child.Dispose();
        }
    }

    /// <summary>Stops a part and waits for it.</summary>
    public async Task StopAsync(string name, TimeSpan patience)
    {
        ExpectEnd(name);
        foreach (var child in children.Where(c => c.Spec.Name == name))
        {
            if (!await child.StopAsync(patience))
                say($"{name} did not stop within {patience.TotalSeconds:F0} s and was killed");
        }
    }

    public void Dispose()
    {
        foreach (var child in children)
            child.Dispose();
    }

    private ChildProcess Launch(ChildSpec spec)
    {
        var child = ChildProcess.Start(spec);
        File.WriteAllText(folder.PidFile(spec.Name), child.Id.ToString(CultureInfo.InvariantCulture));
        return child;
    }
}
