using KdServing.Serving.Models;

namespace KdServing.Serving.Kernels;

/// <summary>
/// The weights of one layer as <see cref="MatrixTileProgram"/> reads them: each number as two bfloat16, upper + lower. Outputs are padded to
/// whole panels of <see cref="PackedLayer"/>, inputs to whole steps, with zeros. Immutable; any thread reads.
/// </summary>
internal sealed unsafe class SplitWeights : IDisposable
{
    private const int HalfStep = MatrixTileProgram.StepInputs / 2;

    private readonly NativeBuffer tiles = new();

    /// <param name="weight">Row-major [<paramref name="outputs"/>, <paramref name="inputs"/>].</param>
    public SplitWeights(ReadOnlySpan<float> weight, int inputs, int outputs)
    {
        Inputs = inputs;
        Steps = StepsOf(inputs);
        Columns = PackedLayer.Padded(outputs) / MatrixTileProgram.TileOutputs;
        tiles.Reserve((long)Columns * Steps * MatrixTileProgram.StepWeightBytes);
        for (var o = 0; o < outputs; o++)
        {
            for (var i = 0; i < inputs; i++)
                Write(o, i, weight[o * inputs + i]);
        }
    }

    public int Inputs { get; }

    /// <summary>Steps of 32 inputs.</summary>
    public int Steps { get; }

    /// <summary>Tiles of 16 outputs.</summary>
    public int Columns { get; }

    public byte* Tiles => (byte*)tiles.Address;

    public static int StepsOf(int inputs) => (inputs + MatrixTileProgram.StepInputs - 1) / MatrixTileProgram.StepInputs;

    public void Dispose() => tiles.Dispose();

    // A pair is an input of the step's first half and the one 16 further on: so the halves of a row are packed without a shuffle.
    private void Write(int output, int input, float value)
    {
        var (column, step) = (output / MatrixTileProgram.TileOutputs, input / MatrixTileProgram.StepInputs);
        var (pair, second) = (input % HalfStep, input % MatrixTileProgram.StepInputs / HalfStep);
        var at = (ushort*)(Tiles + ((long)column * Steps + step) * MatrixTileProgram.StepWeightBytes)
            + (pair * MatrixTileProgram.TileOutputs + output % MatrixTileProgram.TileOutputs) * 2 + second;
        var upper = Round(value);
        *at = (ushort)(upper >> 16);
        *(at + MatrixTileProgram.TileBytes / sizeof(ushort)) = (ushort)(Round(value - BitConverter.UInt32BitsToSingle(upper)) >> 16);
    }

    private static uint Round(float value) => (BitConverter.SingleToUInt32Bits(value) + 0x8000) & 0xFFFF_0000;
}
