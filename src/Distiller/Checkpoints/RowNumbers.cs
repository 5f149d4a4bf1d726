using System.Runtime.InteropServices;
using KdServing.Contracts;

namespace KdServing.Distiller.Checkpoints;

/// <summary>Lists of row numbers in a file: int32 lists, then of each its length and its numbers. Little-endian.</summary>
internal static class RowNumbers
{
    public static void Write(Stream stream, IReadOnlyList<int[]> lists)
    {
        stream.Write(BitConverter.GetBytes(lists.Count));
        foreach (var rows in lists)
        {
            stream.Write(BitConverter.GetBytes(rows.Length));
            stream.Write(MemoryMarshal.AsBytes<int>(rows));
        }
    }

    /// <exception cref="ContractException">The file is cut short.</exception>
    public static IReadOnlyList<int[]> Read(string path)
    {
        var numbers = MemoryMarshal.Cast<byte, int>(File.ReadAllBytes(path));
        var lists = new List<int[]>();
        var at = 1;
        while (numbers.Length > 0 && lists.Count < numbers[0])
        {
            if (at >= numbers.Length || numbers[at] < 0 || numbers[at] > numbers.Length - at - 1)
                throw new ContractException(Path.GetFileName(path), "is cut short");
            lists.Add(numbers.Slice(at + 1, numbers[at]).ToArray());
            at += 1 + numbers[at];
        }
        return lists;
    }
}
