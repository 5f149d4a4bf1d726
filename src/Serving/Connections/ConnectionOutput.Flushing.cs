using System.IO.Pipelines;

namespace KdServing.Serving.Connections;

// Who flushes, and until when: one at a time, without the lock, as long as there is more.
internal sealed partial class ConnectionOutput
{
    private void SendHeld()
    {
        lock (gate)
        {
            isHeld = false;
            if (isCompleted || !TryBeginFlush())
                return;
        }
        try
        {
            Flush(default);
        }
        // Whoever sends for others is not told what is wrong with their connection: who reads it finds out.
        catch (Exception)
        {
        }
    }

    // False: somebody flushes, will have to, or sends it with what other connections have to send.
    private bool TryBeginFlush(bool mayHold = false)
    {
        if (isFlushing || !hasBegun)
            return false;
        if (mayHold && (isHeld || gathered.TryHold(sendHeld ??= SendHeld)))
        {
            isHeld = true;
            return false;
        }
        return isFlushing = true;
    }

    private ValueTask<FlushResult> Flush(CancellationToken cancellationToken)
    {
        try
        {
            while (true)
            {
                var flush = output.FlushAsync(cancellationToken);
                if (!flush.IsCompletedSuccessfully)
                    return new(slow = FlushSlowlyAsync(flush));
                if (HasEnded())
                    return flush;
            }
        }
        catch (Exception e)
        {
            if (IsToBeTold(e))
                throw;
            return new(default(FlushResult));
        }
    }

    private async Task<FlushResult> FlushSlowlyAsync(ValueTask<FlushResult> flush)
    {
        try
        {
            while (true)
            {
                var result = await flush;
                if (HasEnded())
                    return result;
                flush = output.FlushAsync();
            }
        }
        catch (Exception e)
        {
            if (IsToBeTold(e))
                throw;
            return default;
        }
    }

    // Nobody need hear that a connection was let go meanwhile.
    private bool IsToBeTold(Exception e)
    {
        lock (gate)
        {
            End();
            return !isCompleted || e is not InvalidOperationException;
        }
    }

    private bool HasEnded()
    {
        lock (gate)
        {
            if (WriteWaiting())
                return false;
            End();
            return true;
        }
    }

    private void End()
    {
        if (!isCompleted)
        {
            isFlushing = false;
            return;
        }
        if (!waiting.IsEmpty)
            openCalls.Leave();
        waiting.Clear();
        output.Complete(failure);
    }
}
