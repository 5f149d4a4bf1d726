namespace KdServing.Serving.Connections;

/// <summary>
/// What a client may send of a request's body unasked (SETTINGS_INITIAL_WINDOW_SIZE): all of it, or, while calls are refused, next to nothing, and the rest when its
/// call is let pass. A body that is refused then stays where it is. Figures: ADR 33.
/// </summary>
/// <remarks>
/// A change of the setting changes the windows of all streams that are open (RFC 9113, section 6.9.2), and Kestrel, which is told nothing, goes on counting with the wide one. So
/// each stream whose body is wanted is given the difference, once. A stream that is given it has too much when the window is wide again, of which Kestrel would make an
/// error: while it has bodies to come nothing is changed.
/// One connection's, in the order of its frames; one thread at a time.
/// </remarks>
internal sealed class RequestWindow(OpenBodies kestrels, TimeProvider time)
{
    /// <summary>Bytes. A request of 1,000 candidates with their features is some 100 KB.</summary>
    public const int Wide = 1 << 20;

    /// <summary>Bytes.</summary>
    internal const int Narrow = 1024;

    // A crowd that pauses for less is still there.
    internal static readonly TimeSpan Calm = TimeSpan.FromSeconds(1);

    private long lastRefusal;
    private bool isNarrow;

    /// <summary>A call is refused whose body is still to come.</summary>
    public void Refuse(TakenCalls calls, FrameAnswers answers)
    {
        lastRefusal = time.GetTimestamp();
        if (isNarrow || !kestrels.IsEmpty)
            return;
        isNarrow = true;
        answers.AddSetting(Http2Setting.InitialWindowSize, Narrow);
        foreach (var stream in calls.Arriving())
            Give(stream, answers);
    }

    /// <summary>A call is let pass whose body is still to come.</summary>
    public void LetPass(int stream, FrameAnswers answers)
    {
        if (!isNarrow)
            return;
        if (!kestrels.IsEmpty || time.GetElapsedTime(lastRefusal) < Calm)
        {
            Give(stream, answers);
            return;
        }
        isNarrow = false;
        answers.AddSetting(Http2Setting.InitialWindowSize, Wide);
    }

    private void Give(int stream, FrameAnswers answers) => answers.AddNumber(FrameType.WindowUpdate, stream, Wide - Narrow);
}
