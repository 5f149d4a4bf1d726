using System.CommandLine;
using KdServing.Contracts;
using KdServing.Datasets;

namespace KdServing.Distiller.Offline;

/// <summary>Runs a verb and turns what went wrong into one line and an exit status.</summary>
internal static class OfflineExit
{
    private const int Failed = 1;
    private const int BadInput = 2;

    // What a shell reports of a process that an interrupt ended.
    private const int Interrupted = 130;

    /// <param name="whenInterrupted">What is kept then, and how to go on.</param>
    public static int Of(ParseResult parsed, string whenInterrupted, Action action)
    {
        try
        {
            action();
            return 0;
        }
        catch (Exception e) when (e is ContractException or DatasetException)
        {
            return Say(e.Message, BadInput);
        }
        catch (OperationCanceledException)
        {
            return Say($"interrupted; {whenInterrupted}", Interrupted);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or NotFiniteNumberException or DllNotFoundException)
        {
            return Say(e.Message, Failed);
        }

        int Say(string message, int status)
        {
            parsed.InvocationConfiguration.Error.WriteLine($"kd distill: {message}");
            return status;
        }
    }
}
