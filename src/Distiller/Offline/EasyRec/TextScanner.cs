using System.Text;

namespace KdServing.Distiller.Offline.EasyRec;

/// <summary>Kinds of tokens of protobuf's text format.</summary>
internal enum TextToken
{
    End,
    Word,
    Number,
    String,

    /// <summary>One of <c>{ } &lt; &gt; [ ] : ; , - . /</c>.</summary>
    Sign,

    /// <summary><c>…</c> or <c>...</c>: something that documentation left out.</summary>
    Omission,
}

/// <summary>Cuts protobuf's text format into tokens (protobuf.dev, "Text Format Language Specification").</summary>
internal sealed class TextScanner
{
    private readonly string text;
    private int at;
    private int line = 1;
    private int lineStart;

    public TextScanner(string text)
    {
        this.text = text;
        Next();
    }

    public TextToken Token { get; private set; }

    /// <summary>A word, a number, a sign as written; a string unescaped.</summary>
    public string Value { get; private set; } = "";

    public TextPosition Position { get; private set; }

    public bool Is(char sign) => Token == TextToken.Sign && Value[0] == sign;

    /// <summary>What stands here, for a message.</summary>
    public string Shown => Token switch
    {
        TextToken.End => "the end of the text",
        TextToken.String => $"the string \"{Value}\"",
        _ => $"'{Value}'",
    };

    /// <exception cref="TextFormatException">A string is not closed, an escape is unknown, or a character means nothing.</exception>
    public void Next()
    {
        SkipBlanks();
        Position = new(line, at - lineStart + 1);
        if (at == text.Length)
        {
            (Token, Value) = (TextToken.End, "");
            return;
        }
        var c = text[at];
        if (c == '…' || text.AsSpan(at).StartsWith("..."))
            (Token, Value, at) = (TextToken.Omission, "...", at + (c == '…' ? 1 : 3));
        else if (char.IsAsciiLetter(c) || c == '_')
            (Token, Value) = (TextToken.Word, TakeWhile(x => char.IsAsciiLetterOrDigit(x) || x == '_'));
        else if (char.IsAsciiDigit(c) || (c == '.' && at + 1 < text.Length && char.IsAsciiDigit(text[at + 1])))
            (Token, Value) = (TextToken.Number, Number());
        else if (c is '"' or '\'')
            (Token, Value) = (TextToken.String, String(c));
        else if ("{}<>[]:;,-./".Contains(c))
            (Token, Value, at) = (TextToken.Sign, c.ToString(), at + 1);
        else
            throw new TextFormatException(Position, $"'{c}' means nothing here");
    }

    private void SkipBlanks()
    {
        for (; at < text.Length; at++)
        {
            if (text[at] == '#')
                at = text.IndexOf('\n', at) is >= 0 and var end ? end : text.Length;
            if (at == text.Length || !(char.IsWhiteSpace(text[at]) || text[at] == '\uFEFF'))
                return;
            if (text[at] == '\n')
                (line, lineStart) = (line + 1, at + 1);
        }
    }

    private string Number()
    {
        var start = at;
        while (at < text.Length && (char.IsAsciiLetterOrDigit(text[at]) || text[at] == '.' || (text[at] is '+' or '-' && text[at - 1] is 'e' or 'E' && !text.AsSpan(start).StartsWith("0x"))))
            at++;
        return text[start..at];
    }

    private string TakeWhile(Func<char, bool> belongs)
    {
        var start = at;
        while (at < text.Length && belongs(text[at]))
            at++;
        return text[start..at];
    }

    // Bytes, since octal and hexadecimal escapes are bytes of UTF-8.
    private string String(char quote)
    {
        var bytes = new List<byte>();
        var start = Position;
        for (at++; ; at++)
        {
            if (at == text.Length || text[at] == '\n')
                throw new TextFormatException(start, $"the string is not closed with {quote} in its line");
            if (text[at] == quote)
                break;
            if (text[at] == '\\')
            {
                Escape(bytes);
                continue;
            }
            var rune = char.IsHighSurrogate(text[at]) && at + 1 < text.Length ? text.AsSpan(at, 2) : text.AsSpan(at, 1);
            bytes.AddRange(Encoding.UTF8.GetBytes(rune.ToString()));
            at += rune.Length - 1;
        }
        at++;
        return Encoding.UTF8.GetString([.. bytes]);
    }

    // Leaves the place at the escape's last character.
    private void Escape(List<byte> bytes)
    {
        var position = new TextPosition(line, at - lineStart + 1);
        var c = ++at < text.Length ? text[at] : '\n';
        const string Plain = "abfnrtv\\'\"?";
        if (Plain.IndexOf(c) is >= 0 and var known)
            bytes.Add((byte)"\a\b\f\n\r\t\v\\'\"?"[known]);
        else if (c is >= '0' and <= '7')
            bytes.Add((byte)Digits(at, 3, 8, position));
        else if (c is 'x' or 'X')
            bytes.Add((byte)Digits(++at, 2, 16, position));
        else if (c is 'u' or 'U')
            AddRune(bytes, Digits(++at, c == 'u' ? 4 : 8, 16, position), position);
        else
            throw new TextFormatException(position, $"the escape \\{(c == '\n' ? "" : c)} is unknown; a backslash itself is \\\\");
    }

    private static void AddRune(List<byte> bytes, long value, TextPosition position)
    {
        if (value > int.MaxValue || !Rune.IsValid((int)value))
            throw new TextFormatException(position, "the escape is no character of Unicode");
        bytes.AddRange(Encoding.UTF8.GetBytes(new Rune((int)value).ToString()));
    }

    private long Digits(int from, int most, int radix, TextPosition position)
    {
        var (value, count) = (0L, 0);
        while (count < most && from + count < text.Length && char.IsAsciiHexDigit(text[from + count]) && Convert.ToInt32(text[from + count].ToString(), 16) is var digit && digit < radix)
        {
            value = value * radix + digit;
            count++;
        }
        if (count == 0)
            throw new TextFormatException(position, "the escape lacks its digits");
        at = from + count - 1;
        return value;
    }
}
