using System.Net;
using System.Security.Cryptography;
using System.Text;
using Grpc.Core;
using KdServing.Contracts;

namespace KdServing.Serving.Control;

/// <summary>Who may command the server: whoever has the token, or, without one, whoever is on this machine. Everybody else is refused.</summary>
public sealed class ControlAccess
{
    private const string HeaderName = "authorization";
    private const int MinTokenLength = 16;
    private readonly byte[]? expected;

    private ControlAccess(byte[]? expected) => this.expected = expected;

    /// <summary>For the log.</summary>
    public string Description => expected is null ? "this machine only" : "bearer token";

    /// <param name="tokenFile">File whose first line is the token; null: loopback only.</param>
    /// <exception cref="ContractException">The token can not be read or is too short, or the address is open and there is none.</exception>
    public static ControlAccess Create(string address, string? tokenFile)
    {
        if (tokenFile is not null)
            return new(Hash($"Bearer {ReadToken(tokenFile)}"));
        return IPAddress.IsLoopback(IPAddress.Parse(address))
            ? new(null)
            : throw new ContractException("--control-token-file", $"is missing: a control listener on {address} would obey anybody; give a token, or listen on 127.0.0.1");
    }

    /// <summary>The token of a file, for either side.</summary>
    /// <exception cref="ContractException">The file can not be read, or holds no token.</exception>
    public static string ReadToken(string file)
    {
        string token;
        try
        {
            token = File.ReadLines(file).FirstOrDefault("").Trim();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ContractException("--control-token-file", $"can not be read: {e.Message}");
        }
        return token.Length >= MinTokenLength && token.All(c => c is > ' ' and < (char)127)
            ? token
            : throw new ContractException("--control-token-file", $"must hold a token of {MinTokenLength} or more visible ASCII characters on its first line");
    }

    /// <exception cref="RpcException">UNAUTHENTICATED: no token, or another one.</exception>
    public void Require(ServerCallContext context)
    {
        // Hashes of equal length: the time it takes tells nothing of the token.
        if (expected is not null && !CryptographicOperations.FixedTimeEquals(expected, Hash(context.RequestHeaders.GetValue(HeaderName) ?? "")))
            throw new RpcException(new(StatusCode.Unauthenticated, "authorization: the control token is missing or wrong"));
    }

    private static byte[] Hash(string text) => SHA256.HashData(Encoding.UTF8.GetBytes(text));
}
