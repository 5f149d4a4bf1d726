using System.Collections.Concurrent;

namespace KdServing.LoadTests.Demo;

/// <summary>
/// The thread that starts every child. The kernel's parent-death signal follows the thread that forked, and a pool thread may
/// end while the demo goes on; this one lives as long as the process.
/// </summary>
internal static class ParentThread
{
    private static readonly BlockingCollection<Action> Work = [];

    static ParentThread() => new Thread(() =>
    {
        foreach (var action in Work.GetConsumingEnumerable())
            action();
    })
    { IsBackground = true, Name = "parent of child processes" }.Start();

    public static T Run<T>(Func<T> start)
    {
        var done = new TaskCompletionSource<T>(TaskCreationOptions.RunContinuationsAsynchronously);
        Work.Add(() =>
        {
            try
            {
                done.SetResult(start());
            }
            catch (Exception e)
            {
                done.SetException(e);
            }
        });
        return done.Task.GetAwaiter().GetResult();
    }
}
