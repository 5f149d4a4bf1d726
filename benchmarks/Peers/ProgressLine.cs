namespace KdServing.Benchmarks.Peers;

/// <summary>What is going on, on one line of a terminal that is written over; a line each where the output is no terminal.</summary>
internal sealed class ProgressLine : IDisposable
{
    private int shown;

    public void Show(string text)
    {
        if (Console.IsOutputRedirected)
        {
            Console.WriteLine(text);
            return;
        }
        Console.Write($"\r{text.PadRight(shown)}");
        shown = text.Length;
    }

    public void Clear()
    {
        if (shown > 0)
            Console.Write($"\r{new string(' ', shown)}\r");
        shown = 0;
    }

    public void Dispose() => Clear();
}
