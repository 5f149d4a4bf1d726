using static TorchSharp.torch;

namespace KdServing.Distiller.Losses;

/// <summary>The weighted sum of a step's losses: some are tensors that autograd differentiates, of others value and slope are known.</summary>
/// <remarks>
/// Losses that know their slope write dL/dlogits into a head's gradient; one backward pass then starts from the tensors and from
/// those heads at once. Lives in the dispose scope of a step.
/// </remarks>
public sealed class TotalLoss
{
    private readonly List<Tensor> roots = [];
    private readonly List<Tensor> seeds = [];
    private Tensor? differentiated;
    private double known;

    /// <summary>The sum.</summary>
    public double Value => known + (differentiated is null ? 0 : (double)differentiated);

    /// <summary>Adds a loss that autograd differentiates; a scalar, weighted.</summary>
    public void Add(Tensor loss) => differentiated = differentiated is null ? loss : differentiated.add(loss);

    /// <summary>Adds a loss whose slope has been written to its head's gradient; weighted.</summary>
    public void Add(double value) => known += value;

    /// <summary>Starts the backward pass from these logits, too.</summary>
    /// <param name="logits">Of a head; requires grad.</param>
    /// <param name="gradient">Sum of the slopes, of the same shape.</param>
    public void Inject(Tensor logits, Tensor gradient)
    {
        roots.Add(logits);
        seeds.Add(gradient);
    }

    /// <summary>Accumulates the gradients of all leaves.</summary>
    public void Backward()
    {
        if (differentiated is not null)
        {
            roots.Add(differentiated);
            seeds.Add(ones_like(differentiated));
        }
        autograd.backward(roots, seeds);
    }
}
