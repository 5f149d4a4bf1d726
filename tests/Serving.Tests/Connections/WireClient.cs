using System.Buffers.Binary;
using System.Net.Sockets;
using System.Text;
using KdServing.Contracts;
using KdServing.Serving.Connections;

namespace KdServing.Serving.Tests.Connections;

/// <summary>A frame as it came.</summary>
internal sealed record WireFrame(Http2Frame Header, byte[] Payload)
{
    public int Number => BinaryPrimitives.ReadInt32BigEndian(Payload);

    /// <summary>True if headers hold these bytes; whoever does not compress sends them as they are.</summary>
    public bool Holds(string text) => Payload.AsSpan().IndexOf(Encoding.ASCII.GetBytes(text)) >= 0;
}

/// <summary>An HTTP/2 connection whose every byte the test decides.</summary>
internal sealed class WireClient : IDisposable
{
    private readonly TcpClient tcp = new();
    private readonly NetworkStream stream;

    private WireClient(int port)
    {
        tcp.Connect("127.0.0.1", port);
        stream = tcp.GetStream();
        stream.ReadTimeout = 30_000;
    }

    /// <summary>Every frame received.</summary>
    public List<WireFrame> Seen { get; } = [];

    /// <summary>A connection on which nothing was sent.</summary>
    public static WireClient Connect(int port) => new(port);

    /// <summary>A connection that has begun.</summary>
    public static async Task<WireClient> ConnectAsync(int port)
    {
        var client = new WireClient(port);
        await client.SendAsync(WireFrames.Preface, WireFrames.Settings, WireFrames.SettingsAck);
        return client;
    }

    public async Task SendAsync(params byte[][] frames) => await stream.WriteAsync(frames.SelectMany(f => f).ToArray());

    /// <summary>Reads until a frame of this kind comes; the test fails when the connection ends first.</summary>
    public async Task<WireFrame> ReadAsync(Func<WireFrame, bool> isIt)
    {
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        while (true)
        {
            var header = new byte[Http2Frame.HeaderBytes];
            await stream.ReadExactlyAsync(header, patience.Token);
            var frame = Http2Frame.Read(header);
            var payload = new byte[frame.Length];
            await stream.ReadExactlyAsync(payload, patience.Token);
            Seen.Add(new(frame, payload));
            if (isIt(Seen[^1]))
                return Seen[^1];
        }
    }

    /// <summary>The headers that end a stream: where gRPC says how a call went.</summary>
    public Task<WireFrame> ReadEndAsync(int stream) => ReadAsync(f => f.Header.Type == FrameType.Headers && f.Header.Stream == stream && f.Header.Has(Http2Frame.EndStream));

    /// <summary>Reads until streams have ended: Kestrel ends one with its trailers, or with an empty body.</summary>
    public async Task EndOfAsync(params int[] streams)
    {
        foreach (var stream in streams)
        {
            if (!Seen.Any(Ends))
                await ReadAsync(Ends);

            bool Ends(WireFrame f) => f.Header.Type is FrameType.Headers or FrameType.Data && f.Header.Stream == stream && f.Header.Has(Http2Frame.EndStream);
        }
    }

    /// <summary>True if a call was answered where it arrived: Kestrel's headers have a date, and are compressed by a table.</summary>
    public bool WasTaken(int stream)
    {
        var first = Seen.First(f => f.Header.Type == FrameType.Headers && f.Header.Stream == stream);
        // :status 200 and content-type of the static table.
        return first.Payload.AsSpan().StartsWith(new byte[] { 0x88, 0x0f, 0x10 }) && first.Holds("application/grpc") && !first.Holds("GMT");
    }

    /// <summary>The message of a stream that has ended.</summary>
    public RankReply ReplyOf(int stream)
    {
        var body = Seen.Where(f => f.Header.Type == FrameType.Data && f.Header.Stream == stream).SelectMany(f => f.Payload).ToArray();
        Assert.Equal(body.Length - 5, BinaryPrimitives.ReadInt32BigEndian(body.AsSpan(1)));
        return RankReply.Parser.ParseFrom(body.AsSpan(5));
    }

    public void Dispose() => tcp.Dispose();
}
