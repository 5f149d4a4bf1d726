using System.Buffers;
using System.Collections.Concurrent;
using Microsoft.AspNetCore.Connections;

namespace KdServing.Serving.Transport;

/// <summary>
/// Memory that connections and requests are read into, in blocks of 64 KiB: a request of 96 KB takes two reads of its socket instead of
/// twenty-four. One pool for all, so that what one connection gave back the next one takes.
/// </summary>
internal sealed class BlockPoolFactory : IMemoryPoolFactory<byte>
{
    private readonly BlockPool pool = new();

    public MemoryPool<byte> Create(MemoryPoolOptions? options = null) => pool;

    /// <summary>Any thread.</summary>
    private sealed class BlockPool : MemoryPool<byte>
    {
        private const int BlockBytes = 64 * 1024;
        // 32 MiB are kept; a burst's further blocks are left to the collector.
        private const int MaxKept = 512;

        private readonly ConcurrentQueue<Block> free = new();

        // Of this Kestrel derives what it asks for: 4 KiB, or what a writer needs, both at most this.
        public override int MaxBufferSize => BlockBytes;

        public override IMemoryOwner<byte> Rent(int minBufferSize = -1)
        {
            ArgumentOutOfRangeException.ThrowIfGreaterThan(minBufferSize, BlockBytes);
            return free.TryDequeue(out var block) ? block : new Block(this);
        }

        // Shared by every connection: it ends with the process.
        protected override void Dispose(bool disposing)
        {
        }

        private void Return(Block block)
        {
            if (free.Count < MaxKept)
                free.Enqueue(block);
        }

        private sealed class Block(BlockPool pool) : IMemoryOwner<byte>
        {
            // Pinned for good: sockets read into it.
            private readonly byte[] bytes = GC.AllocateUninitializedArray<byte>(BlockBytes, pinned: true);

            public Memory<byte> Memory => bytes;

            public void Dispose() => pool.Return(this);
        }
    }
}
