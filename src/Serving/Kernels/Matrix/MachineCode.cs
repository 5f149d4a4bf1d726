using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace KdServing.Serving.Kernels;

/// <summary>General registers, by their numbers in an instruction.</summary>
internal enum Register
{
    Rax, Rcx, Rdx, Rbx, Rsp, Rbp, Rsi, Rdi, R8, R9, R10, R11,
}

/// <summary>Writes x86-64 instructions that .NET has no intrinsics for: those of AMX, and what a loop around them needs.</summary>
/// <remarks>Encodings: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2. Tile registers are numbers from 0 to 7.</remarks>
internal sealed unsafe partial class MachineCode
{
    private const int ReadWrite = 1 | 2;
    private const int ReadExecute = 1 | 4;
    private const int PrivateAnonymous = 0x02 | 0x20;

    private readonly List<byte> code = [];

    /// <summary>Where the next instruction will be: what a later jump goes back to.</summary>
    public int Here => code.Count;

    /// <summary>What was written so far; until the next instruction.</summary>
    public ReadOnlySpan<byte> Bytes => CollectionsMarshal.AsSpan(code);

    public void Push(Register register) => Emit((byte)(0x50 + (int)register));

    public void Pop(Register register) => Emit((byte)(0x58 + (int)register));

    public void Return() => Emit(0xC3);

    /// <summary>to = from.</summary>
    public void Move(Register to, Register from) => Emit(Rex(from, to), 0x89, Direct(from, to));

    /// <summary>to = [at + offset], 8 bytes.</summary>
    public void Load(Register to, Register at, int offset) => EmitWithOffset(offset, Rex(to, at), 0x8B, Based(to, at));

    /// <summary>to = value, from 0.</summary>
    public void Set(Register to, int value) => EmitWithOffset(value, Rex(0, to), 0xC7, Direct(0, to));

    /// <summary>to += [at + offset], 8 bytes.</summary>
    public void AddFrom(Register to, Register at, int offset) => EmitWithOffset(offset, Rex(to, at), 0x03, Based(to, at));

    /// <summary>to += value.</summary>
    public void Add(Register to, int value) => EmitWithOffset(value, Rex(0, to), 0x81, Direct(0, to));

    /// <summary>counter -= 1, and back to <paramref name="target"/> unless it is 0 now.</summary>
    public void CountDown(Register counter, int target)
    {
        Emit(Rex(0, counter), 0xFF, Direct((Register)1, counter));
        const int jumpBytes = 6;
        EmitWithOffset(target - (Here + jumpBytes), 0x0F, 0x85);
    }

    /// <summary>Takes the shapes of the tiles from the 64 bytes at <paramref name="at"/>.</summary>
    public void LoadTileConfiguration(Register at) => Emit(0xC4, Extension(0, 0, at), Prefix.None, 0x49, (byte)((int)at & 7));

    /// <summary>Gives the tile registers back.</summary>
    public void ReleaseTiles() => Emit(0xC4, 0xE2, Prefix.None, 0x49, 0xC0);

    /// <summary>tile = rows of 64 bytes at <paramref name="at"/> + <paramref name="offset"/>, <paramref name="stride"/> bytes apart.</summary>
    public void LoadTile(int tile, Register at, Register stride, int offset = 0) => EmitTile(Prefix.F2, tile, at, stride, offset);

    /// <summary>Rows of 64 bytes at <paramref name="at"/>, <paramref name="stride"/> bytes apart = tile.</summary>
    public void StoreTile(int tile, Register at, Register stride) => EmitTile(Prefix.F3, tile, at, stride, 0);

    /// <summary>sum += left · right: bfloat16 pairs, float32 sums (TDPBF16PS).</summary>
    public void MultiplyAddTiles(int sum, int left, int right) =>
        Emit(0xC4, 0xE2, (byte)(Prefix.F3 & ~(right << 3)), 0x5C, (byte)(0xC0 | (sum << 3) | left));

    /// <summary>Memory that holds what was written and can be called; it is never freed.</summary>
    /// <exception cref="OutOfMemoryException">The system gives no such memory.</exception>
    public nint ToExecutable()
    {
        var bytes = Bytes;
        var memory = Map(0, (nuint)bytes.Length, ReadWrite, PrivateAnonymous, -1, 0);
        if (memory == -1)
            throw new OutOfMemoryException("no memory for machine code");
        bytes.CopyTo(new Span<byte>((void*)memory, bytes.Length));
        // Never writable and executable at once.
        if (Protect(memory, (nuint)bytes.Length, ReadExecute) != 0)
            throw new OutOfMemoryException("the system does not allow new machine code");
        return memory;
    }

    private void EmitTile(byte prefix, int tile, Register at, Register stride, int offset) =>
        EmitWithOffset(offset, 0xC4, Extension(0, stride, at), prefix, 0x4B, (byte)(0x84 | (tile << 3)), (byte)((((int)stride & 7) << 3) | ((int)at & 7)));

    private void Emit(params ReadOnlySpan<byte> bytes) => code.AddRange(bytes);

    private void EmitWithOffset(int offset, params ReadOnlySpan<byte> bytes)
    {
        code.AddRange(bytes);
        Span<byte> last = stackalloc byte[sizeof(int)];
        BinaryPrimitives.WriteInt32LittleEndian(last, offset);
        code.AddRange(last);
    }

    private static byte Rex(Register register, Register other) => (byte)(0x48 | (((int)register >> 3) << 2) | ((int)other >> 3));

    private static byte Direct(Register register, Register other) => (byte)(0xC0 | (((int)register & 7) << 3) | ((int)other & 7));

    private static byte Based(Register register, Register at) => (byte)(0x80 | (((int)register & 7) << 3) | ((int)at & 7));

    // Second byte of a VEX prefix: the registers' fourth bits, inverted, and the map of the 0F 38 instructions.
    private static byte Extension(Register register, Register index, Register at) =>
        (byte)(0xE2 & ~((((int)register >> 3) << 7) | (((int)index >> 3) << 6) | (((int)at >> 3) << 5)));

    // Third byte: no second source, 128 bits, and the prefix the instruction would have had.
    private static class Prefix
    {
        public const byte None = 0x78;
        public const byte F3 = 0x7A;
        public const byte F2 = 0x7B;
    }

    [LibraryImport("libc", EntryPoint = "mmap", SetLastError = true)]
    private static partial nint Map(nint address, nuint length, int protection, int flags, int file, nint offset);

    [LibraryImport("libc", EntryPoint = "mprotect", SetLastError = true)]
    private static partial int Protect(nint address, nuint length, int protection);
}
