using System.Runtime.InteropServices;

namespace KdServing.Serving.Kernels;

/// <summary>What <see cref="MatrixTileProgram"/> multiplies. Strides in bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct MatrixTileCall
{
    /// <summary>Upper and lower halves of the rows: [steps][2][48 rows][32 inputs] bfloat16.</summary>
    public byte* Rows;

    /// <summary>Of the weights: [columns][steps][2][16 pairs of inputs][16 outputs][2] bfloat16.</summary>
    public byte* Weights;

    /// <summary>Inputs / 32.</summary>
    public nint Steps;

    /// <summary>Outputs / 16.</summary>
    public nint Columns;

    /// <summary>What the sums begin with, float32; a stride of 0 repeats one row.</summary>
    public byte* Addend;

    public nint AddendStride;

    /// <summary>16 strides.</summary>
    public nint AddendTile;

    /// <summary>float32 [48, outputs], written.</summary>
    public byte* To;

    public nint ToStride;

    /// <summary>16 strides.</summary>
    public nint ToTile;

    /// <summary>Shapes of the tile registers.</summary>
    public byte* Configuration;
}

/// <summary>
/// The inner loop on the matrix unit: to = addend + rows·weights for 48 rows, each number given as two halves, upper + lower, of which
/// three of the four products are taken.
/// </summary>
/// <remarks>
/// A bfloat16 has 8 significant bits, two of them hold 16: the product of the lower halves, 2⁻¹⁸ of the whole, is as small as what two
/// halves leave of a number, and is left out. Three sums of 16 × 16 beside three tiles of rows and both halves of one of weights fill the
/// eight tile registers; each tile that is loaded meets two or three others. The technique: Henry, Tang, Heinecke, "Leveraging the
/// bfloat16 Artificial Intelligence Datatype For Higher-Precision Computations", 2019, https://arxiv.org/abs/1904.06376.
/// </remarks>
internal static unsafe class MatrixTileProgram
{
    /// <summary>Rows of a call: three tiles.</summary>
    public const int Rows = 3 * TileRows;

    public const int TileRows = 16;

    /// <summary>Inputs of a step: pairs of bfloat16 that fill the 64 bytes of a tile's row.</summary>
    public const int StepInputs = 32;

    /// <summary>Outputs of a tile of sums.</summary>
    public const int TileOutputs = 16;

    public const int TileBytes = 1024;

    /// <summary>Both halves of the rows' inputs of a step.</summary>
    public const int StepRowBytes = 6 * TileBytes;

    /// <summary>Both halves of a tile of weights.</summary>
    public const int StepWeightBytes = 2 * TileBytes;

    private static readonly delegate* unmanaged<MatrixTileCall*, void> Program = (delegate* unmanaged<MatrixTileCall*, void>)Write();

    private static readonly byte* Configuration = MakeConfiguration();

    /// <summary>Any thread. Only where <see cref="MatrixUnit.IsSupported"/>.</summary>
    public static void Run(MatrixTileCall call)
    {
        SignalStack.Ensure();
        call.Configuration = Configuration;
        Program(&call);
    }

    private static nint Write()
    {
        const Register call = Register.Rdi; // first argument of a function, and never changed
        const Register rows = Register.Rax, weights = Register.Rcx, addend = Register.Rdx, columns = Register.Rsi;
        const Register addendStride = Register.R8, to = Register.R9, toStride = Register.R10, steps = Register.R11;
        const Register scratch = Register.Rbx; // the callee's to keep
        var code = new MachineCode();
        code.Push(scratch);
        code.Load(scratch, call, Offset(nameof(MatrixTileCall.Configuration)));
        code.LoadTileConfiguration(scratch);
        code.Load(weights, call, Offset(nameof(MatrixTileCall.Weights)));
        code.Load(addend, call, Offset(nameof(MatrixTileCall.Addend)));
        code.Load(addendStride, call, Offset(nameof(MatrixTileCall.AddendStride)));
        code.Load(to, call, Offset(nameof(MatrixTileCall.To)));
        code.Load(toStride, call, Offset(nameof(MatrixTileCall.ToStride)));
        code.Load(columns, call, Offset(nameof(MatrixTileCall.Columns)));

        var column = code.Here;
        code.Load(rows, call, Offset(nameof(MatrixTileCall.Rows)));
        code.Load(steps, call, Offset(nameof(MatrixTileCall.Steps)));
        code.Move(scratch, addend);
        for (var tile = 0; tile < 3; tile++)
        {
            code.LoadTile(tile, scratch, addendStride);
            code.AddFrom(scratch, call, Offset(nameof(MatrixTileCall.AddendTile)));
        }
        code.Set(scratch, 64); // bytes of a tile's row

        var step = code.Here;
        WriteStep(code, rows, weights, scratch);
        code.Add(rows, StepRowBytes);
        code.Add(weights, StepWeightBytes);
        code.CountDown(steps, step);

        code.Move(scratch, to);
        for (var tile = 0; tile < 3; tile++)
        {
            code.StoreTile(tile, scratch, toStride);
            code.AddFrom(scratch, call, Offset(nameof(MatrixTileCall.ToTile)));
        }
        code.Add(addend, TileOutputs * sizeof(float));
        code.Add(to, TileOutputs * sizeof(float));
        code.CountDown(columns, column);
        code.ReleaseTiles();
        code.Pop(scratch);
        code.Return();
        return code.ToExecutable();
    }

    // Tiles 0 to 2 are the sums, 3 to 5 the rows, 6 and 7 the halves of the weights.
    private static void WriteStep(MachineCode code, Register rows, Register weights, Register rowBytes)
    {
        const int upper = 6, lower = 7;
        code.LoadTile(upper, weights, rowBytes);
        for (var tile = 0; tile < 3; tile++)
        {
            code.LoadTile(3 + tile, rows, rowBytes, tile * TileBytes);
            code.MultiplyAddTiles(tile, 3 + tile, upper);
        }
        code.LoadTile(lower, weights, rowBytes, TileBytes);
        for (var tile = 0; tile < 3; tile++)
            code.MultiplyAddTiles(tile, 3 + tile, lower);
        for (var tile = 0; tile < 3; tile++)
        {
            code.LoadTile(3 + tile, rows, rowBytes, (3 + tile) * TileBytes);
            code.MultiplyAddTiles(tile, 3 + tile, upper);
        }
    }

    // Palette 1: every tile has 16 rows of 64 bytes. Layout of LDTILECFG's operand: 16 × bytes a row from byte 16, rows from byte 48.
    private static byte* MakeConfiguration()
    {
        var configuration = (byte*)NativeMemory.AlignedAlloc(64, 64);
        NativeMemory.Clear(configuration, 64);
        configuration[0] = 1;
        for (var tile = 0; tile < 8; tile++)
        {
            ((ushort*)(configuration + 16))[tile] = 64;
            configuration[48 + tile] = TileRows;
        }
        return configuration;
    }

    private static int Offset(string field) => (int)Marshal.OffsetOf<MatrixTileCall>(field);
}
