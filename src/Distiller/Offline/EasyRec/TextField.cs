namespace KdServing.Distiller.Offline.EasyRec;

/// <summary>Where something stands in a text, both from 1.</summary>
public readonly record struct TextPosition(int Line, int Column)
{
    public override string ToString() => FormattableString.Invariant($"{Line}:{Column}");
}

/// <summary>A text that is not what it should be.</summary>
public sealed class TextFormatException(TextPosition position, string reason) : Exception($"{position}: {reason}")
{
    public TextPosition Position { get; } = position;
}

/// <summary>A message of protobuf's text format without its schema: fields in the order of the text, repeated ones as often as they stand.</summary>
public sealed record TextMessage(IReadOnlyList<TextField> Fields)
{
    public IEnumerable<TextField> Named(string name) => Fields.Where(f => f.Name == name);
}

/// <summary>One field: a scalar or a message, never both.</summary>
/// <param name="Name">As written; an extension's or an Any's with its brackets.</param>
public sealed record TextField(string Name, TextPosition Position, TextScalar? Scalar, TextMessage? Message);

/// <summary>What a scalar is, as far as the text says.</summary>
public enum TextScalarKind
{
    Text,
    Number,

    /// <summary>true, false, inf, nan, or a name of an enum.</summary>
    Word,
}

/// <summary>A value as written: a string unescaped, a number or a word with its sign.</summary>
public sealed record TextScalar(TextScalarKind Kind, string Text, TextPosition Position);
