using KdServing.Contracts;

namespace KdServing.Serving.Models;

/// <summary>The memory one request is scored in: every input, intermediate and output tensor. Outlives versions; one thread at a time.</summary>
internal sealed class ScoringBuffers : IDisposable
{
    public NativeBuffer User { get; } = new();

    public NativeBuffer UserPart { get; } = new();

    public NativeBuffer Item { get; } = new();

    public NativeBuffer ItemVector { get; } = new();

    public NativeBuffer Live { get; } = new();

    /// <summary>int64, all zero: a request has one user.</summary>
    public NativeBuffer RowOf { get; } = new();

    public NativeBuffer Logits { get; } = new();

    public NativeBuffer Scores { get; } = new();

    /// <summary>Columns matched to features; grown as schemas need.</summary>
    public Column[] Found { get; private set; } = [];

    /// <summary>Makes room for a request of so many candidates.</summary>
    public void Reserve(StudentSignature signature, int candidates, int columns)
    {
        long rows = candidates;
        User.Reserve(sizeof(float) * (long)signature.UserWidth);
        UserPart.Reserve(sizeof(float) * (long)signature.UserPartWidth);
        Item.Reserve(checked(sizeof(float) * rows * signature.ItemWidth));
        ItemVector.Reserve(checked(sizeof(float) * rows * signature.ItemVectorWidth));
        Live.Reserve(checked(sizeof(float) * rows * signature.LiveWidth));
        RowOf.Reserve(sizeof(long) * rows);
        Logits.Reserve(checked(sizeof(float) * rows * signature.Targets.Count));
        Scores.Reserve(checked(sizeof(float) * rows * signature.Targets.Count));
        if (Found.Length < columns)
            Found = new Column[columns];
    }

    public void Dispose()
    {
        foreach (var buffer in (NativeBuffer[])[User, UserPart, Item, ItemVector, Live, RowOf, Logits, Scores])
            buffer.Dispose();
    }
}
