using KdServing.Contracts;

namespace KdServing.Serving.Models;

/// <summary>The memory one request, or one batch of them, is scored in: every input, intermediate and output. Outlives versions; one thread at a time.</summary>
/// <remarks>Whoever scores by ONNX Runtime binds these addresses: a buffer that grows must be bound again.</remarks>
internal sealed class ScoringBuffers : IDisposable
{
    public NativeBuffer User { get; } = new();

    /// <summary>Feature columns of the candidates.</summary>
    public NativeBuffer Columns { get; } = new();

    /// <summary>What the kernel keeps of a request.</summary>
    public NativeBuffer Scratch { get; } = new();

    public NativeBuffer UserPart { get; } = new();

    public NativeBuffer Item { get; } = new();

    public NativeBuffer ItemVector { get; } = new();

    public NativeBuffer Live { get; } = new();

    /// <summary>int64, the user's row of each candidate.</summary>
    public NativeBuffer RowOf { get; } = new();

    public NativeBuffer Logits { get; } = new();

    public NativeBuffer Scores { get; } = new();

    /// <summary>Columns matched to features; grown as schemas need.</summary>
    public Column[] Found { get; private set; } = [];

    /// <summary>Makes room for what every request needs.</summary>
    /// <returns>True when an address changed.</returns>
    public bool Reserve(StudentSignature signature, int candidates, int columns)
    {
        if (Found.Length < columns)
            Found = new Column[columns];
        var results = checked(sizeof(float) * (long)candidates * signature.Targets.Count);
        return User.Reserve(sizeof(float) * (long)signature.UserWidth) | Logits.Reserve(results) | Scores.Reserve(results);
    }

    /// <summary>Makes room for the whole matrices that the graphs take and give.</summary>
    public void ReserveGraphs(StudentSignature signature, int users, int candidates)
    {
        long rows = candidates;
        User.Reserve(checked(sizeof(float) * (long)users * signature.UserWidth));
        UserPart.Reserve(checked(sizeof(float) * (long)users * Math.Max(signature.UserPartWidth, signature.ItemVectorWidth)));
        Item.Reserve(checked(sizeof(float) * rows * signature.ItemWidth));
        ItemVector.Reserve(checked(sizeof(float) * rows * signature.ItemVectorWidth));
        Live.Reserve(checked(sizeof(float) * rows * signature.LiveWidth));
        RowOf.Reserve(sizeof(long) * rows);
        Logits.Reserve(checked(sizeof(float) * rows * signature.Targets.Count));
        Scores.Reserve(checked(sizeof(float) * rows * signature.Targets.Count));
    }

    public void Dispose()
    {
        foreach (var buffer in (NativeBuffer[])[User, Columns, Scratch, UserPart, Item, ItemVector, Live, RowOf, Logits, Scores])
            buffer.Dispose();
    }
}
