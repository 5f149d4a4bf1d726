using KdServing.Contracts;

namespace KdServing.Distiller.Teachers;

/// <summary><c>offline</c> of teacher.json: the networks that are cross-fitted on files, and how many of them.</summary>
/// <remarks>
/// The defaults were found on Frappe. Batch normalisation matters most there: embeddings begin small, and without it the first epochs
/// learn little but the items' popularity.
/// </remarks>
public sealed record OfflineTeacherConfig
{
    /// <summary>Width of every embedding of the teacher; 0: the schema's, which are the student's.</summary>
    public int EmbeddingDim { get; init; } = 10;

    public int CrossLayers { get; init; }

    /// <summary>Widths of the deep part.</summary>
    public IReadOnlyList<int> Deep { get; init; } = [256, 256];

    public bool BatchNorm { get; init; } = true;

    public double Dropout { get; init; } = 0.2;

    /// <summary>Adam's, for the dense part.</summary>
    public double LearningRate { get; init; } = 2e-3;

    /// <summary>Row-wise Adagrad's, for the embedding rows.</summary>
    public float EmbeddingLearningRate { get; init; } = 0.3f;

    /// <summary>Weight of the squared embedding vectors of a batch, a candidate, beside its loss.</summary>
    public double L2 { get; init; } = 1e-3;

    public int Epochs { get; init; } = 6;

    /// <summary>Candidates of a step, at least.</summary>
    public int BatchCandidates { get; init; } = 2048;

    /// <summary>Parts K of the training impressions; the logits of each come from a network that has not seen it.</summary>
    public int Folds { get; init; } = 5;

    /// <summary>Times the K networks are trained, each from other weights and other folds; the teacher is the mean logit of all.</summary>
    public int Rounds { get; init; } = 1;

    /// <exception cref="ContractException">Names the field and what it must be.</exception>
    public void Require(string field)
    {
        Range(EmbeddingDim, 0, 256, "embedding_dim");
        Range(CrossLayers, 0, 8, "cross_layers");
        Range(Deep.Count, CrossLayers == 0 ? 1 : 0, 8, "deep (its number of layers)");
        foreach (var width in Deep)
            Range(width, 1, 4096, "deep");
        if (!(Dropout is >= 0 and < 1))
            throw new ContractException($"{field}.dropout", "must lie in [0, 1)");
        if (!(LearningRate > 0 && double.IsFinite(LearningRate)))
            throw new ContractException($"{field}.learning_rate", "must be above 0");
        if (!(EmbeddingLearningRate > 0 && float.IsFinite(EmbeddingLearningRate)))
            throw new ContractException($"{field}.embedding_learning_rate", "must be above 0");
        if (!(L2 >= 0 && double.IsFinite(L2)))
            throw new ContractException($"{field}.l2", "must be 0 or more");
        Range(Epochs, 1, 1000, "epochs");
        Range(BatchCandidates, 2, 1 << 20, "batch_candidates");
        Range(Folds, 2, 100, "folds");
        Range(Rounds, 1, 100, "rounds");

        void Range(int value, int low, int high, string name)
        {
            if (value < low || value > high)
                throw new ContractException($"{field}.{name}", $"is {value}; must be from {low} to {high}");
        }
    }
}
