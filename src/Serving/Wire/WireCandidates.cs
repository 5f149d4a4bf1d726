using KdServing.Contracts;
using KdServing.Serving.Models;

namespace KdServing.Serving.Wire;

/// <summary><see cref="CatalogCandidates"/> where they lie in a request: the ids undecoded.</summary>
internal ref struct WireCandidates
{
    /// <summary>Which form the ids have.</summary>
    public CatalogCandidates.IdsOneofCase Kind;

    /// <summary>Little-endian ids of <c>raw_int64</c>, or varints of <c>ints</c>.</summary>
    public ReadOnlySpan<byte> Ids;

    public UnknownItems Unknown;

    /// <summary>Reads the ordinary form that encoders write: each field once, lists packed.</summary>
    /// <returns>False for anything else, valid or not: the generated parser then reads it, or says what is wrong.</returns>
    public static bool TryRead(ReadOnlySpan<byte> message, out WireCandidates candidates)
    {
        candidates = default;
        try
        {
            for (var reader = new ProtobufReader(message); reader.Read();)
            {
                if (reader is { HasBytes: false, Field: CatalogCandidates.UnknownFieldNumber })
                    candidates.Unknown = (UnknownItems)reader.Number;
                else if (!reader.HasBytes || candidates.Kind != CatalogCandidates.IdsOneofCase.None || !candidates.TryReadIds(reader.Field, reader.Bytes))
                    return false;
            }
            return candidates.Kind != CatalogCandidates.IdsOneofCase.None;
        }
        catch (FormatException)
        {
            return false;
        }
    }

    private bool TryReadIds(int field, ReadOnlySpan<byte> bytes)
    {
        Kind = (CatalogCandidates.IdsOneofCase)field;
        if (Kind == CatalogCandidates.IdsOneofCase.RawInt64)
        {
            Ids = bytes;
            return true;
        }
        var list = new ProtobufReader(bytes);
        if (Kind != CatalogCandidates.IdsOneofCase.Ints || !list.Read() || !list.HasBytes || list.Field != Int64Values.ValueFieldNumber)
            return false;
        Ids = list.Bytes;
        return list.AtEnd;
    }
}
