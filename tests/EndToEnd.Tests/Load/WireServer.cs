using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using System.Text;
using KdServing.Serving.Connections;
using KdServing.Serving.Tests.Connections;

namespace KdServing.EndToEnd.Tests.Load;

/// <summary>An HTTP/2 server of one connection whose every byte the test decides.</summary>
internal sealed class WireServer : IDisposable
{
    private const int PrefaceBytes = 24;

    private readonly TcpListener listener = new(IPAddress.Loopback, 0);
    private NetworkStream? stream;

    public WireServer() => listener.Start();

    public Uri Address => new($"http://{listener.LocalEndpoint}");

    /// <summary>What has come of each stream's messages, byte by byte as characters.</summary>
    public Dictionary<int, string> Bodies { get; } = [];

    public async Task AcceptAsync()
    {
        stream = new(await listener.AcceptSocketAsync(), ownsSocket: true);
        await stream.ReadExactlyAsync(new byte[PrefaceBytes]);
    }

    public async Task SendAsync(params byte[][] frames) => await stream!.WriteAsync(frames.SelectMany(f => f).ToArray());

    /// <summary>Reads until a frame of this kind has come.</summary>
    public async Task ReadAsync(Func<Http2Frame, bool> isIt)
    {
        Http2Frame frame;
        do
        {
            var header = new byte[Http2Frame.HeaderBytes];
            await stream!.ReadExactlyAsync(header);
            frame = Http2Frame.Read(header);
            var payload = new byte[frame.Length];
            await stream.ReadExactlyAsync(payload);
            if (frame.Type == FrameType.Data)
                Bodies[frame.Stream] = Bodies.GetValueOrDefault(frame.Stream, "") + Encoding.Latin1.GetString(payload);
        }
        while (!isIt(frame));
    }

    public static byte[] InitialWindow(int bytes)
    {
        var setting = new byte[6];
        setting[1] = (byte)Http2Setting.InitialWindowSize;
        BinaryPrimitives.WriteInt32BigEndian(setting.AsSpan(2), bytes);
        return WireFrames.Frame(FrameType.Settings, 0, 0, setting);
    }

    /// <summary>RESOURCE_EXHAUSTED, and nothing else.</summary>
    public static byte[] Refusal(int stream) => WireFrames.Headers(stream, [0x88, 0x00, 11, .. "grpc-status"u8, 1, (byte)'8'], ends: true);

    public void Dispose()
    {
        stream?.Dispose();
        listener.Dispose();
    }
}
