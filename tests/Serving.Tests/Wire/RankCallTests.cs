using System.Buffers;
using Google.Protobuf;
using KdServing.Contracts;
using KdServing.Serving.Models;
using KdServing.Serving.Tests.Models;
using KdServing.Serving.Wire;

namespace KdServing.Serving.Tests.Wire;

/// <summary>The hand-written decoder against the generated message: what one accepts the other does, with the same scores.</summary>
public sealed class RankCallTests
{
    [Theory]
    [InlineData("mlp")]
    [InlineData("two_tower")]
    public void Scores_are_those_of_the_generated_message(string family)
    {
        using var sample = new SampleStudent(family);
        using var versions = new LoadedVersions(sample, count: 1);
        foreach (var n in (int[])[1, 7, 100])
        {
            var request = sample.Request(n, seed: n);
            RequireSame(versions[1], request.ToByteArray());
            RequireSame(versions[1], Raw(request).ToByteArray());
            // Columns in another order; ids of every length; a list in two pieces; an unknown field.
            request.Item.Insert(0, request.Item[^1]);
            request.Item.RemoveAt(request.Item.Count - 1);
            var ids = request.Item.First(c => c.ValuesCase == Column.ValuesOneofCase.Ints).Ints.Value;
            for (var i = 0; i < ids.Count; i++)
                ids[i] = (long)(0x8FFF_FFFF_FFFF_FFFF >> (i * 7 % 64));
            RequireSame(versions[1], request.ToByteArray());
            RequireSame(versions[1], [.. request.ToByteArray(), 0xF8, 0x07, 0x01]);
        }
    }

    [Fact]
    public void Ordinary_requests_take_the_fast_way()
    {
        using var sample = new SampleStudent("mlp");
        using var versions = new LoadedVersions(sample, count: 1);
        var request = sample.Request(50, seed: 1);
        foreach (var bytes in (byte[][])[request.ToByteArray(), Raw(request).ToByteArray()])
        {
            var call = Read(bytes);
            var run = versions[1].Rent();
            run.Resize(50, 8);
            var decoder = new RankCallDecoder(sample.Schema, versions[1].Tables);
            Assert.True(decoder.TryReadUser(call, run.User));
            Assert.True(decoder.TryReadItems(call, 50, hasVectors: false, run.Columns));
            versions[1].Return(run);
            call.Return();
        }
    }

    // Bytes flipped, cut, repeated: never a crash, and never another answer than the generated parser's.
    [Fact]
    public void Whatever_is_sent_is_answered_as_the_generated_parser_would()
    {
        using var sample = new SampleStudent("mlp");
        using var versions = new LoadedVersions(sample, count: 1);
        var (good, random, accepted) = (sample.Request(3, seed: 1).ToByteArray(), new Random(1), 0);
        for (var i = 0; i < 1200; i++)
        {
            var bytes = good.ToArray();
            switch (i % 3)
            {
                case 0:
                    bytes[random.Next(bytes.Length)] ^= (byte)(1 << random.Next(8));
                    break;
                case 1:
                    bytes = bytes[..random.Next(bytes.Length)];
                    break;
                default:
                    var at = random.Next(bytes.Length);
                    bytes = [.. bytes[..at], .. bytes[random.Next(at + 1)..]];
                    break;
            }
            accepted += RequireSame(versions[1], bytes) ? 1 : 0;
        }
        Assert.InRange(accepted, 20, 1180);
    }

    [Fact]
    public void A_call_lies_in_pieces()
    {
        var request = new RankRequest { RequestId = "r", Model = "m", CandidateCount = 2, TopK = 1, Targets = { "click" } };
        request.User.Add(new Column { Name = "user", Ints = new() { Value = { 1 } } });
        request.Item.Add(new Column { Name = "item", Ints = new() { Value = { 1, 2 } } });
        var bytes = request.ToByteArray();
        var first = new Piece(bytes.AsMemory(0, 5), null);
        var last = new Piece(bytes.AsMemory(5), first);
        var call = RankCall.Read(new(first, 0, last, last.Memory.Length));
        Assert.False(call.IsMalformed);
        Assert.Equal(("r", "m", 2, 1, "click"), (call.Header.RequestId, call.Header.Model, call.Header.CandidateCount, call.Header.TopK, call.Header.Targets[0]));
        Assert.Empty(call.Header.User);
        Assert.Equal((1, 1), (call.UserColumns, call.ItemColumns));
        Assert.Equal(request, call.ToMessage());
        call.Return();
        Assert.True(RankCall.Read(new(bytes.AsMemory(0, 5))).IsMalformed);
    }

    [Fact]
    public void Varints_are_read_as_protobuf_writes_them()
    {
        long[] values = [0, 1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152, 1L << 35, long.MaxValue, -1, long.MinValue];
        var packed = new Int64Values { Value = { values } }.ToByteArray()[2..];
        Assert.Equal(values.Length, Varints.Count(packed));
        var varints = new Varints(packed);
        foreach (var value in values)
        {
            Assert.True(varints.TryRead(out var read));
            Assert.Equal(value, read);
        }
        Assert.True(varints.IsAtEnd);
        Assert.False(varints.TryRead(out _));
        Assert.False(new Varints([0x80, 0x80]).TryRead(out _));
        Assert.False(new Varints([.. Enumerable.Repeat((byte)0x80, 11), 0]).TryRead(out _));
    }

    [Fact]
    public void Many_varints_are_read_at_once()
    {
        var random = new Random(1);
        for (var trial = 0; trial < 50; trial++)
        {
            var bits = random.Next(1, 65);
            long[] values = [.. Enumerable.Range(0, 700).Select(_ => (long)((ulong)random.NextInt64(long.MinValue, long.MaxValue) >> (64 - (trial % 2 == 0 ? bits : random.Next(1, 65)))))];
            var message = new Int64Values { Value = { values } }.ToByteArray().AsSpan();
            var packed = message[(message.Length - values.Sum(v => CodedOutputStream.ComputeInt64Size(v)))..];
            var varints = new Varints(packed);
            var (first, rest) = (new long[100], new long[600]);
            Assert.True(varints.TryRead(first));
            Assert.True(varints.TryRead(rest));
            Assert.True(varints.IsAtEnd);
            Assert.Equal(values, (long[])[.. first, .. rest]);
            var cut = new Varints(packed[..^1]);
            Assert.False(cut.TryRead(new long[700]));
        }
    }

    private static bool RequireSame(Servable servable, byte[] bytes)
    {
        var expected = Answer(servable, () => RankRequest.Parser.ParseFrom(bytes), static (s, request, run) => s.Score(request, run, CallBudget.Unlimited));
        var call = Read(bytes);
        var actual = Answer(servable, () => call.IsMalformed ? throw new InvalidProtocolBufferExceptionStandIn() : call,
            static (s, c, run) => s.Score(c, run, CallBudget.Unlimited));
        Assert.Equal(expected, actual);
        call.Return();
        return expected is not null;
    }

    // Null: refused.
    private static float[]? Answer<T>(Servable servable, Func<T> read, Action<Servable, T, ScoringRun> score)
    {
        var run = servable.Rent();
        try
        {
            var request = read();
            var count = request is RankCall call ? call.Header.CandidateCount : ((RankRequest)(object)request!).CandidateCount;
            if (count is < 1 or > 1000)
                return null;
            score(servable, request, run);
            return run.Logits.ToArray();
        }
        catch (Exception e) when (e is ContractException or InvalidProtocolBufferException or InvalidProtocolBufferExceptionStandIn or NonFiniteScoreException)
        {
            return null;
        }
        finally
        {
            servable.Return(run);
        }
    }

    private static RankCall Read(byte[] bytes) => RankCall.Read(new(bytes));

    private static RankRequest Raw(RankRequest request)
    {
        var raw = request.Clone();
        foreach (var column in raw.User.Concat(raw.Item))
        {
            if (column.ValuesCase == Column.ValuesOneofCase.Ints)
                column.RawInt64 = ByteString.CopyFrom([.. column.Ints.Value.SelectMany(BitConverter.GetBytes)]);
            else if (column.ValuesCase == Column.ValuesOneofCase.Floats)
                column.RawFloat32 = ByteString.CopyFrom([.. column.Floats.Value.SelectMany(BitConverter.GetBytes)]);
        }
        return raw;
    }

    private sealed class InvalidProtocolBufferExceptionStandIn : Exception;

    private sealed class Piece : ReadOnlySequenceSegment<byte>
    {
        public Piece(ReadOnlyMemory<byte> memory, Piece? previous)
        {
            Memory = memory;
            if (previous is null)
                return;
            previous.Next = this;
            RunningIndex = previous.RunningIndex + previous.Memory.Length;
        }
    }
}
