using KdServing.Serving.Kernels;

namespace KdServing.Serving.Tests.Kernels;

/// <summary>Instructions against what GNU as makes of them.</summary>
public sealed class MachineCodeTests
{
    private const int Far = 0x12345678;

    [Fact]
    public void Tile_instructions_are_those_of_the_assembler()
    {
        Same("c4 e2 78 49 03", c => c.LoadTileConfiguration(Register.Rbx)); // ldtilecfg [rbx]
        Same("c4 a2 7b 4b 94 03 78 56 34 12", c => c.LoadTile(2, Register.Rbx, Register.R8, Far)); // tileloadd tmm2, [rbx+r8+far]
        Same("c4 e2 7b 4b ac 18 78 56 34 12", c => c.LoadTile(5, Register.Rax, Register.Rbx, Far)); // tileloadd tmm5, [rax+rbx+far]
        Same("c4 a2 7a 4b 94 13 00 00 00 00", c => c.StoreTile(2, Register.Rbx, Register.R10)); // tilestored [rbx+r10], tmm2
        Same("c4 e2 42 5c cc", c => c.MultiplyAddTiles(1, 4, 7)); // tdpbf16ps tmm1, tmm4, tmm7
        Same("c4 e2 4a 5c c3", c => c.MultiplyAddTiles(0, 3, 6)); // tdpbf16ps tmm0, tmm3, tmm6
        Same("c4 e2 78 49 c0", c => c.ReleaseTiles()); // tilerelease
    }

    [Fact]
    public void The_loop_around_them_is_too()
    {
        Same("53", c => c.Push(Register.Rbx));
        Same("5b", c => c.Pop(Register.Rbx));
        Same("c3", c => c.Return());
        Same("4c 89 cb", c => c.Move(Register.Rbx, Register.R9)); // mov rbx, r9
        Same("49 89 d9", c => c.Move(Register.R9, Register.Rbx)); // mov r9, rbx
        Same("48 8b 9f 50 00 00 00", c => c.Load(Register.Rbx, Register.Rdi, 0x50)); // mov rbx, [rdi+0x50], with a long offset
        Same("4c 8b 87 28 00 00 00", c => c.Load(Register.R8, Register.Rdi, 0x28)); // mov r8, [rdi+0x28]
        Same("48 03 9f 78 56 34 12", c => c.AddFrom(Register.Rbx, Register.Rdi, Far)); // add rbx, [rdi+far]
        Same("48 c7 c3 40 00 00 00", c => c.Set(Register.Rbx, 64)); // mov rbx, 64
        Same("48 81 c0 00 18 00 00", c => c.Add(Register.Rax, 0x1800)); // add rax, 0x1800, in its general form
        Same("49 ff cb 0f 85 f7 ff ff ff", c => c.CountDown(Register.R11, target: 0)); // dec r11; jne to itself
    }

    private static void Same(string expected, Action<MachineCode> write)
    {
        var code = new MachineCode();
        write(code);
        Assert.Equal(expected, string.Join(' ', code.Bytes.ToArray().Select(b => b.ToString("x2", System.Globalization.CultureInfo.InvariantCulture))));
    }
}
