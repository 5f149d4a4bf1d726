namespace KdServing.Distiller.Methods;

/// <summary>What a joint teacher reads beside privileged features.</summary>
public enum JointInput
{
    /// <summary>The output of the student's lower layers, which it shares.</summary>
    Lower,

    /// <summary>The embeddings and numbers that the student reads.</summary>
    Embeddings,
}

/// <summary>A teacher that trains in the Distiller.</summary>
public sealed record JointTeacherOptions
{
    /// <summary>Widths of its hidden layers.</summary>
    public IReadOnlyList<int> Layers { get; init; } = [128, 64];

    /// <summary>DCN-V2 cross layers beside them.</summary>
    public int CrossLayers { get; init; }

    public JointInput Input { get; init; } = JointInput.Embeddings;

    /// <summary>Read the schema's privileged features, too.</summary>
    public bool Privileged { get; init; }

    /// <summary>Features whose rows it does not share with the student, or <c>all</c>.</summary>
    public IReadOnlyList<string> OwnEmbeddings { get; init; } = [];

    /// <summary>Weight of its own loss on hard labels.</summary>
    public double LossWeight { get; init; } = 1;

    /// <summary>Steps after which it is frozen.</summary>
    public long LearnsUntilStep { get; init; } = long.MaxValue;
}

/// <summary>A hint on a hidden layer.</summary>
public sealed record HintOptions
{
    public GuidedLayer Guided { get; init; } = GuidedLayer.Hidden;

    public double Weight { get; init; } = 1;

    /// <summary>Weight of each dimension of the teacher's vectors; null: all 1.</summary>
    public IReadOnlyList<double>? DimensionWeights { get; init; }

    public long FromStep { get; init; }

    public long UntilStep { get; init; } = long.MaxValue;
}
