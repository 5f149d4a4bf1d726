namespace Grpc.Net.Client.Configuration;

/// <summary>Names a method, every method of a service, or every method.</summary>
public sealed class MethodName
{
    /// <summary>Every method of every service.</summary>
    public static readonly MethodName Default = new();

    public string? Service { get; set; }

    public string? Method { get; set; }
}
