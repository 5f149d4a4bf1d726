namespace KdServing.Distiller.Offline.EasyRec;

/// <summary>Reads protobuf's text format without knowing the schema.</summary>
/// <remarks>
/// Nested messages in <c>{}</c> or <c>&lt;&gt;</c> with or without a colon, repeated fields and lists in <c>[]</c>, comments, adjacent
/// strings, escapes, extensions and Any names in brackets. <c>...</c>, with which documentation leaves something out, stands where a
/// field may and is reported as a field of that name.
/// </remarks>
public sealed class TextFormatParser
{
    /// <summary>Name of the field that an omission becomes.</summary>
    public const string Omission = "...";

    private const int MaxDepth = 100;

    private readonly TextScanner scanner;
    private int depth;

    private TextFormatParser(string text) => scanner = new(text);

    /// <exception cref="TextFormatException">The text breaks a rule; line and column are in the message.</exception>
    public static TextMessage Parse(string text)
    {
        var parser = new TextFormatParser(text);
        var message = parser.Message(null, default);
        return message;
    }

    private TextMessage Message(char? close, TextPosition opened)
    {
        if (++depth > MaxDepth)
            throw new TextFormatException(opened, $"messages are nested deeper than {MaxDepth}");
        var fields = new List<TextField>();
        while (true)
        {
            if (close is { } end && scanner.Is(end))
            {
                scanner.Next();
                break;
            }
            if (scanner.Token == TextToken.End)
            {
                if (close is null)
                    break;
                throw new TextFormatException(opened, $"the message that begins here is not closed with '{close}'");
            }
            Field(fields);
            if (scanner.Is(';') || scanner.Is(','))
                scanner.Next();
        }
        depth--;
        return new(fields);
    }

    private void Field(List<TextField> fields)
    {
        var position = scanner.Position;
        if (scanner.Token == TextToken.Omission)
        {
            fields.Add(new(Omission, position, null, new([])));
            scanner.Next();
            return;
        }
        var name = Name();
        var colon = scanner.Is(':');
        if (colon)
            scanner.Next();
        if (scanner.Is('['))
        {
            List(fields, name, position);
            return;
        }
        fields.Add(Value(name, position, colon));
    }

    private string Name()
    {
        if (scanner.Token == TextToken.Word)
        {
            var word = scanner.Value;
            scanner.Next();
            return word;
        }
        if (!scanner.Is('['))
            throw new TextFormatException(scanner.Position, $"a field's name is expected, not {scanner.Shown}");
        var (start, name) = (scanner.Position, "[");
        for (scanner.Next(); !scanner.Is(']'); scanner.Next())
        {
            if (scanner.Token is not (TextToken.Word or TextToken.Number) && !scanner.Is('.') && !scanner.Is('/') && !scanner.Is('-'))
                throw new TextFormatException(start, "the name that begins here is not closed with ']'");
            name += scanner.Value;
        }
        scanner.Next();
        return name + "]";
    }

    private void List(List<TextField> fields, string name, TextPosition position)
    {
        var opened = scanner.Position;
        scanner.Next();
        while (!scanner.Is(']'))
        {
            if (scanner.Token == TextToken.End)
                throw new TextFormatException(opened, "the list that begins here is not closed with ']'");
            fields.Add(Value(name, position, colon: true));
            if (scanner.Is(','))
                scanner.Next();
            else if (!scanner.Is(']'))
                throw new TextFormatException(scanner.Position, $"',' or ']' is expected, not {scanner.Shown}");
        }
        scanner.Next();
    }

    private TextField Value(string name, TextPosition position, bool colon)
    {
        if (scanner.Is('{') || scanner.Is('<'))
        {
            var (close, opened) = (scanner.Is('{') ? '}' : '>', scanner.Position);
            scanner.Next();
            return new(name, position, null, Message(close, opened));
        }
        if (!colon)
            throw new TextFormatException(scanner.Position, $"':' or '{{' is expected after '{name}', not {scanner.Shown}");
        return new(name, position, Scalar(), null);
    }

    private TextScalar Scalar()
    {
        var position = scanner.Position;
        if (scanner.Token == TextToken.String)
        {
            var text = "";
            for (; scanner.Token == TextToken.String; scanner.Next())
                text += scanner.Value;
            return new(TextScalarKind.Text, text, position);
        }
        var sign = scanner.Is('-') ? "-" : "";
        if (sign.Length > 0)
            scanner.Next();
        if (scanner.Token is not (TextToken.Word or TextToken.Number))
            throw new TextFormatException(scanner.Position, $"a value is expected, not {scanner.Shown}");
        var scalar = new TextScalar(scanner.Token == TextToken.Word ? TextScalarKind.Word : TextScalarKind.Number, sign + scanner.Value, position);
        scanner.Next();
        return scalar;
    }
}
