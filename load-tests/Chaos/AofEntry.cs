using KdServing.Contracts;

namespace KdServing.LoadTests.Chaos;

/// <summary>One entry that Redis added to a stream, as its append-only file has it.</summary>
/// <param name="Key">The stream.</param>
/// <param name="Fields">Names and values in turn, as they were sent.</param>
internal sealed record AofEntry(string Key, StreamId Id, IReadOnlyList<byte[]> Fields)
{
    /// <summary>A field's value; null when there is none of that name.</summary>
    public byte[]? this[string name]
    {
        get
        {
            for (var i = 0; i + 1 < Fields.Count; i += 2)
            {
                if (Fields[i].AsSpan().SequenceEqual(System.Text.Encoding.UTF8.GetBytes(name)))
                    return Fields[i + 1];
            }
            return null;
        }
    }
}
