using KdServing.Contracts;

namespace KdServing.Distiller.Calibration;

/// <summary><c>teacher_calibration</c> of distiller.json: what becomes of a jump between two versions of a teacher.</summary>
public sealed record TeacherCalibrationConfig
{
    /// <summary>False: jumps are found and told, and learned as they are.</summary>
    public bool Enabled { get; init; } = true;

    private const int BlocksAWindow = 5;

    /// <summary>Records of a new version that its map is fitted on, and about as many before it that it is fitted to.</summary>
    public int WindowRecords { get; init; } = 2000;

    /// <summary>In logits: a smaller change of mean or spread is no jump and is learned as it is, however little they move by themselves.</summary>
    public double Tolerance { get; init; } = 0.1;

    /// <summary>Labelled records after which a jump that the labels bear out has been handed on whole.</summary>
    public int GlideRecords { get; init; } = 100_000;

    /// <summary>Versions of each teacher that are remembered and evaluated apart.</summary>
    public int VersionsKept { get; init; } = 4;

    /// <summary>Records over which the logits' own moves are measured.</summary>
    internal int BlockRecords => WindowRecords / BlocksAWindow;

    /// <exception cref="ContractException">Names the field and what it must be.</exception>
    public void Require(string block)
    {
        RequireRange(WindowRecords, 100, 1_000_000, "window_records");
        RequireRange(GlideRecords, 1, 1_000_000_000, "glide_records");
        RequireRange(VersionsKept, 2, 32, "versions_kept");
        if (!(Tolerance >= 0.01 && Tolerance <= 10))
            throw new ContractException($"{block}.tolerance", $"is {Tolerance}; must be from 0.01 to 10 logits");

        void RequireRange(int value, int low, int high, string field)
        {
            if (value < low || value > high)
                throw new ContractException($"{block}.{field}", $"is {value}; must be from {low} to {high}");
        }
    }
}
