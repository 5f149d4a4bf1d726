using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;

namespace KdServing.Compat.Tests;

/// <summary>Keeps what a server logs, so that a test can demand, or forbid, an error.</summary>
public sealed class RecordedLogs : ILoggerProvider
{
    private readonly ConcurrentQueue<Entry> _entries = new();

    public IReadOnlyCollection<Entry> Entries => _entries;

    public IEnumerable<Entry> Errors => _entries.Where(entry => entry.Level >= LogLevel.Error);

    /// <summary>Fails the test with every error that was logged, in full.</summary>
    public void AssertNoErrors()
    {
        var errors = string.Join("\n", Errors.Select(error => $"{error.Message} {error.Exception}"));
        Assert.True(errors.Length == 0, errors);
    }

    public ILogger CreateLogger(string categoryName) => new Logger(categoryName, _entries);

    public void Dispose()
    {
    }

    /// <summary>One message.</summary>
    public sealed record Entry(string Category, LogLevel Level, string Message, Exception? Exception);

    private sealed class Logger(string category, ConcurrentQueue<Entry> entries) : ILogger
    {
        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Warning;

        public void Log<TState>(
            LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (IsEnabled(logLevel))
                entries.Enqueue(new Entry(category, logLevel, formatter(state, exception), exception));
        }
    }
}
