using System.Text;

namespace Grpc.Core;

public sealed partial class Metadata
{
    /// <summary>One key with its text or, where the key ends in <c>-bin</c>, its bytes. Immutable.</summary>
    public class Entry
    {
        private readonly string? _value;
        private readonly byte[]? _valueBytes;

        /// <param name="key">A key that ends in <c>-bin</c>.</param>
        /// <param name="valueBytes">The bytes; they are copied.</param>
        public Entry(string key, byte[] valueBytes)
        {
            Key = NormalizeKey(key);
            if (!IsBinary)
                throw new ArgumentException($"The key '{key}' carries bytes and must end in '{BinaryHeaderSuffix}'.", nameof(key));
            ArgumentNullException.ThrowIfNull(valueBytes);
            _valueBytes = valueBytes.AsSpan().ToArray();
        }

        /// <param name="key">A key that does not end in <c>-bin</c>.</param>
        /// <param name="value">ASCII text.</param>
        public Entry(string key, string value)
        {
            Key = NormalizeKey(key);
            if (IsBinary)
                throw new ArgumentException($"The key '{key}' ends in '{BinaryHeaderSuffix}' and must carry bytes.", nameof(key));
            ArgumentNullException.ThrowIfNull(value);
            _value = value;
        }

        public string Key { get; }

        public bool IsBinary => Key.EndsWith(BinaryHeaderSuffix, StringComparison.Ordinal);

        /// <exception cref="InvalidOperationException">The entry is binary.</exception>
        public string Value => _value ?? throw new InvalidOperationException($"The entry '{Key}' is binary; read its ValueBytes.");

        /// <summary>A copy of the bytes; for text its ASCII bytes.</summary>
        public byte[] ValueBytes => _valueBytes is null ? Encoding.ASCII.GetBytes(_value!) : _valueBytes.AsSpan().ToArray();

        internal ReadOnlySpan<byte> BinaryValue => _valueBytes;

        public override string ToString() => IsBinary
            ? $"[Entry: key={Key}, valueBytes={Convert.ToHexString(_valueBytes!)}]"
            : $"[Entry: key={Key}, value={_value}]";

        private static string NormalizeKey(string key)
        {
            ArgumentNullException.ThrowIfNull(key);
            var normalized = key.ToLowerInvariant();
            var isValid = normalized.Length > 0;
            foreach (var c in normalized)
                isValid &= c is (>= 'a' and <= 'z') or (>= '0' and <= '9') or '.' or '_' or '-';

            return isValid
                ? normalized
                : throw new ArgumentException($"The key '{key}' is not valid: use letters, digits, '.', '_' and '-' only.", nameof(key));
        }
    }
}
