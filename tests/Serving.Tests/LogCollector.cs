using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;

namespace KdServing.Serving.Tests;

/// <summary>Keeps what a server logs; an error nobody expected fails the test.</summary>
public sealed class LogCollector : ILoggerProvider
{
    private readonly ConcurrentQueue<(LogLevel Level, string Text)> lines = [];
    private readonly ConcurrentBag<string> expected = [];

    /// <summary>An error line with this text is part of the test.</summary>
    public void Expect(string text) => expected.Add(text);

    public bool Holds(LogLevel level, string text) =>
        lines.Any(l => l.Level == level && l.Text.Contains(text, StringComparison.Ordinal));

    public void RequireNoErrors()
    {
        var unexpected = lines.Where(l => l.Level >= LogLevel.Error && !expected.Any(e => l.Text.Contains(e, StringComparison.Ordinal)));
        Assert.True(!unexpected.Any(), $"unexpected errors in the log:\n{string.Join('\n', unexpected.Select(l => l.Text))}");
    }

    public ILogger CreateLogger(string categoryName) => new Collector(this, categoryName);

    public void Dispose()
    {
    }

    public override string ToString() => string.Join('\n', lines.Select(l => $"{l.Level}: {l.Text}"));

    private sealed class Collector(LogCollector owner, string category) : ILogger
    {
        public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
            owner.lines.Enqueue((logLevel, $"{category}: {formatter(state, exception)} {exception}"));
    }
}
