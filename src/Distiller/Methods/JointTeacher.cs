using KdServing.Distiller.Losses;
using KdServing.Distiller.Students;
using KdServing.Distiller.Training;
using static TorchSharp.torch;

namespace KdServing.Distiller.Methods;

/// <summary>A teacher that trains in the Distiller beside its student, on the same batches and hard labels; never exported.</summary>
/// <remarks>
/// x₀ is the student's lower representation, or the embeddings, and privileged features if asked for. A perceptron reads x₀; beside it
/// cross layers x ← x₀ ∘ (W·x + b) + x (DCN-V2, arXiv:2008.13535) and products of user and item features that share a table, if asked
/// for; one affine layer reads both. What it shares with the student it trains too, by its own loss. Its logits are the soft label
/// <c>joint</c>, and its last hidden layer the batch's teacher vectors: constants for everybody else, so that no distillation term
/// reaches it.
/// </remarks>
internal sealed class JointTeacher : MethodPart
{
    public const string Name = "joint";

    // Rows begin at ±0.05: their products would enter two orders below the other inputs.
    private const float ProductScale = 10;

    private readonly JointTeacherOptions options;
    private readonly HardLabelLoss hard;
    private readonly List<(long User, long Item, long Width)> products = [];
    private readonly Perceptron deep;
    private readonly List<AffineLayer> cross = [];
    private readonly AffineLayer? crossOutput;
    private readonly OwnRows? own;
    private readonly bool isPrivileged;

    public JointTeacher(PartContext context, JointTeacherOptions options)
    {
        this.options = options;
        hard = new(context.HardLabel);
        var schema = context.Schema;
        var weights = new InitialWeights(context.Seed(Name));
        isPrivileged = options.Privileged && schema.Privileged.Width > 0;
        if (options.OwnEmbeddings.Count > 0)
            own = new(context, options.OwnEmbeddings);
        var width = options.Input == JointInput.Lower ? context.Shape.LowerWidth
            : schema.User.Width + schema.Item.Width + schema.Live.Width;
        width += isPrivileged ? schema.Privileged.Width : 0;
        if (options.Input == JointInput.Embeddings && options.CrossLayers > 0)
        {
            foreach (var u in schema.User.Features)
            {
                foreach (var i in schema.Item.Features.Where(i => u.Table >= 0 && i.Table == u.Table))
                    products.Add((u.Offset, i.Offset, u.Width));
            }
            width += (int)products.Sum(p => p.Width);
        }
        deep = Register(Name, new Perceptron(width, options.Layers, schema.Targets.Count, weights, context.Shape.InitialLogit));
        for (var l = 0; l < options.CrossLayers; l++)
            cross.Add(Register($"{Name}.cross_{l}", new AffineLayer(Small(weights.Layer(width, width)))));
        if (options.CrossLayers > 0)
            crossOutput = Register($"{Name}.cross_output", new AffineLayer(Small(weights.Layer(width, schema.Targets.Count, hasBias: false))));
    }

    public override (string Name, SparseEmbeddings Embeddings)? Rows => own is null ? null : (Name, own.Embeddings);

    public override void Run(LearningStep step)
    {
        var known = isPrivileged ? step.Batch.PrivilegedKnown.ToArray() : null;
        var learns = step.Number < options.LearnsUntilStep;
        using (set_grad_enabled(learns))
        {
            var x0 = Input(step);
            var hidden = deep.HiddenLayers(x0);
            var logits = deep.Last(hidden[^1]);
            var x = x0;
            foreach (var layer in cross)
                x = x0.mul(layer.forward(x)).add(x);
            if (crossOutput is not null)
                logits = logits.add(crossOutput.forward(x));
            for (var t = 0; t < logits.shape[1] && learns; t++)
                step.Add($"{Name}_{t}", hard.Value(logits.select(1, t), step.Batch, t, known), options.LossWeight);
            step.AddSoftLabels(Name, new(logits.detach(), known));
            step.TeacherLayers = [.. hidden.Select(h => h.detach())];
            step.TeacherVectors = new(step.TeacherLayers[^1], known);
        }
    }

    private Tensor Input(LearningStep step)
    {
        List<Tensor> parts;
        if (options.Input == JointInput.Lower)
        {
            parts = [step.Lower!];
        }
        else
        {
            var input = own?.Input(step) ?? step.Input;
            var user = step.PerCandidate(input.User);
            parts = [user, input.Item, .. input.Live is null ? [] : (Tensor[])[input.Live]];
            foreach (var (u, i, width) in products)
                parts.Add(user.narrow(1, u, width).mul(input.Item.narrow(1, i, width)).mul(ProductScale));
        }
        if (isPrivileged)
            parts.Add(step.Gather(own is { HasPrivileged: true } ? own.Embeddings : step.Embeddings!, step.Batch.Privileged!));
        return parts.Count == 1 ? parts[0] : cat(parts, 1);
    }

    // The cross layers begin close to the identity.
    private static DenseLayer Small(DenseLayer layer)
    {
        for (var i = 0; i < layer.Weight.Length; i++)
            layer.Weight[i] *= 0.1f;
        return layer;
    }
}
