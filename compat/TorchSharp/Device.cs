namespace TorchSharp;

public static partial class torch
{
    /// <summary>The host.</summary>
    public static Device CPU { get; } = new(DeviceType.CPU, -1);

    /// <summary>The current CUDA device.</summary>
    public static Device CUDA { get; } = new(DeviceType.CUDA, 0);

    public static Device device(string deviceName) => new(deviceName);

    public static Device device(DeviceType deviceType, int index = -1) => new(deviceType, index);

    public static Device device(int index) => new(index);

    /// <summary>A kind of device and, for CUDA, which one; -1 means the current one.</summary>
    public class Device
    {
        /// <summary>Parses <c>cpu</c>, <c>cuda</c> or <c>cuda:N</c>.</summary>
        public Device(string description)
        {
            var parts = description.ToLowerInvariant().Split(':');
            type = parts[0] switch
            {
                "cpu" => DeviceType.CPU,
                "cuda" => DeviceType.CUDA,
                "meta" => DeviceType.META,
                _ => throw new ArgumentException($"Unknown device type '{parts[0]}' in '{description}': use 'cpu', 'cuda' or 'cuda:N'.", nameof(description)),
            };
            index = parts.Length < 2 ? type == DeviceType.CUDA ? 0 : -1
                : int.TryParse(parts[1], out var n) ? n
                : throw new ArgumentException($"Invalid device index in '{description}'.", nameof(description));
        }

        public Device(string deviceType, int index = -1) : this(deviceType) => this.index = index;

        public Device(DeviceType deviceType, int index = -1) => (type, this.index) = (deviceType, index);

        public Device(int index) : this(DeviceType.CUDA, index)
        {
        }

        public DeviceType type { get; }

        public int index { get; }

        public override string ToString() => index < 0 ? type.ToString().ToLowerInvariant() : $"{type.ToString().ToLowerInvariant()}:{index}";

        public override bool Equals(object? obj) => obj is Device other && other.type == type && other.index == index;

        public override int GetHashCode() => HashCode.Combine(type, index);

        public static bool operator ==(Device? left, Device? right) => left is null ? right is null : left.Equals(right);

        public static bool operator !=(Device? left, Device? right) => !(left == right);

        public static implicit operator Device(string description) => new(description);
    }
}
