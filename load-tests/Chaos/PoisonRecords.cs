using Google.Protobuf;
using KdServing.Contracts;

namespace KdServing.LoadTests.Chaos;

/// <summary>Stream entries that no Distiller may learn from: each kind is refused by another check.</summary>
internal static class PoisonRecords
{
    /// <summary>Kinds there are; <see cref="Make"/> takes a number modulo this.</summary>
    public const int Kinds = 8;

    /// <summary>Format and record bytes of a poison entry.</summary>
    /// <param name="sound">A valid record, which is spoilt; it is not changed.</param>
    public static (string Format, byte[] Record) Make(TeacherRecord sound, int kind, Random random)
    {
        var record = sound.Clone();
        switch (kind % Kinds)
        {
            case 0:
                var noise = new byte[random.Next(1, 300)];
                random.NextBytes(noise);
                // A field number of 0 ends every parser: noise alone might be a message.
                noise[0] = 0;
                return ("1", noise);
            case 1:
                record.Outputs[0].Logits[0] = float.NaN;
                break;
            case 2:
                record.Outputs[0].Logits.Add(0);
                break;
            case 3:
                record.SchemaFingerprint ^= 1;
                break;
            case 4:
                record.Item.RemoveAt(0);
                break;
            case 5:
                record.CandidateCount = int.MaxValue;
                break;
            case 6:
                record.Outputs[0].Logits[0] = 3e38f;
                break;
            default:
                return ("2", record.ToByteArray());
        }
        return ("1", record.ToByteArray());
    }
}
