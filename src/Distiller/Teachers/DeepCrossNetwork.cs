using KdServing.Contracts;
using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace KdServing.Distiller.Teachers;

/// <summary>The matrices a teacher reads; those of groups without features are null.</summary>
/// <param name="User">[U, user width].</param>
/// <param name="Item">[N, item width].</param>
/// <param name="Live">[N, live width].</param>
/// <param name="Privileged">[N, privileged width].</param>
/// <param name="RowOf">[N] int64: the user row of each candidate.</param>
/// <param name="UniformCandidates">Candidates of every user when all have as many, else 0.</param>
public readonly record struct TeacherInput(Tensor User, Tensor Item, Tensor? Live, Tensor? Privileged, Tensor RowOf, int UniformCandidates);

/// <summary>The shape of a <see cref="DeepCrossNetwork"/>.</summary>
/// <param name="CrossLayers">Cross layers; 0: a perceptron alone.</param>
/// <param name="CrossRank">Rank of the cross layers' matrices; 0: full.</param>
/// <param name="Deep">Widths of the deep part; may be empty when there are cross layers.</param>
/// <param name="InitialLogit">Where the logits begin.</param>
/// <param name="BatchNorm">Normalise each deep layer's sums, and the input of the cross layers, over the batch (Ioffe, Szegedy 2015).</param>
/// <param name="Dropout">Share of the deep activations set to zero in training.</param>
public sealed record NetworkShape(int CrossLayers, int CrossRank, IReadOnlyList<int> Deep, float InitialLogit, bool BatchNorm = false,
    double Dropout = 0);

/// <summary>DCN-V2 (Wang et al. 2021, arXiv:2008.13535), parallel form: cross layers and a perceptron side by side, one linear output over both.</summary>
/// <remarks>
/// Cross layer: x_{l+1} = x_0 ∘ (W_l·x_l + b_l) + x_l, with W_l = U_l·V_lᵀ when a rank is given (section 3 of the paper).
/// x_0 = [user; item; live; privileged; products], where a product is the elementwise one of a user feature's and an item feature's
/// embedding in the same table (e.g. the articles read so far × the candidate).
/// </remarks>
public sealed class DeepCrossNetwork : Module<TeacherInput, Tensor>
{
    // Rows begin at ±0.05: their products would enter two orders below the other inputs.
    private const float ProductScale = 10;

    private readonly List<(long User, long Item, long Width)> products = [];
    private readonly List<(Linear Left, Linear? Right)> cross = [];
    private readonly List<Linear> deep = [];
    private readonly List<BatchNorm1d> norms = [];
    private readonly BatchNorm1d? inputNorm;
    private readonly double dropout;
    private readonly Linear output;

    /// <param name="schema">Gives the widths; its targets are the outputs.</param>
    public DeepCrossNetwork(FeatureSchema schema, NetworkShape config) : base("dcn_v2")
    {
        dropout = config.Dropout;
        foreach (var u in schema.User.Features)
        {
            foreach (var i in schema.Item.Features.Where(i => u.Table >= 0 && i.Table == u.Table))
                products.Add((u.Offset, i.Offset, u.Width));
        }
        Width = schema.User.Width + schema.Item.Width + schema.Live.Width + schema.Privileged.Width + (int)products.Sum(p => p.Width);
        for (var l = 0; l < config.CrossLayers; l++)
            cross.Add(CrossLayer(l, config.CrossRank));
        var inputs = Width;
        for (var l = 0; l < config.Deep.Count; l++)
        {
            deep.Add(Named($"deep_{l}", Linear(inputs, config.Deep[l])));
            init.kaiming_uniform_(deep[l].weight, 0, init.FanInOut.FanIn, init.NonlinearityType.ReLU);
            init.zeros_(deep[l].bias!);
            inputs = config.Deep[l];
            if (config.BatchNorm)
                norms.Add(Named($"norm_{l}", BatchNorm1d(inputs)));
        }
        if (config.BatchNorm && cross.Count > 0)
            inputNorm = Named("norm_input", BatchNorm1d(Width));
        output = Named("output", Linear((deep.Count > 0 ? inputs : 0) + (cross.Count > 0 ? Width : 0), schema.Targets.Count));
        init.normal_(output.weight, 0, 0.01);
        init.constant_(output.bias!, config.InitialLogit);
    }

    /// <summary>Width of x_0.</summary>
    public int Width { get; }

    /// <returns>Logits, [N, targets].</returns>
    public override Tensor forward(TeacherInput input)
    {
        var user = PerCandidate(input);
        var parts = new List<Tensor> { user, input.Item };
        if (input.Live is not null)
            parts.Add(input.Live);
        if (input.Privileged is not null)
            parts.Add(input.Privileged);
        foreach (var (u, i, width) in products)
            parts.Add(user.narrow(1, u, width).mul(input.Item.narrow(1, i, width)).mul(ProductScale));
        var x0 = cat(parts, 1);

        var ends = new List<Tensor>(2);
        if (deep.Count > 0)
        {
            var h = x0;
            for (var l = 0; l < deep.Count; l++)
            {
                h = deep[l].call(h);
                h = (norms.Count == 0 ? h : norms[l].call(h)).relu_();
                if (dropout > 0)
                    h = functional.dropout(h, dropout, training);
            }
            ends.Add(h);
        }
        if (cross.Count > 0)
        {
            x0 = inputNorm is null ? x0 : inputNorm.call(x0);
            var x = x0;
            foreach (var (left, right) in cross)
                x = x0.mul(left.call(right is null ? x : right.call(x))).add_(x);
            ends.Add(x);
        }
        return output.call(ends.Count == 1 ? ends[0] : cat(ends, 1));
    }

    private (Linear, Linear?) CrossLayer(int l, int rank)
    {
        var right = rank == 0 ? null : Named($"cross_{l}_v", Linear(Width, rank, hasBias: false));
        var left = Named($"cross_{l}", Linear(rank == 0 ? Width : rank, Width));
        // Small: the layer begins close to the identity.
        init.normal_(left.weight, 0, 0.01);
        init.zeros_(left.bias!);
        return (left, right);
    }

    private T Named<T>(string name, T layer) where T : Module
    {
        register_module(name, layer);
        return layer;
    }

    private static Tensor PerCandidate(TeacherInput input)
    {
        if (input.UniformCandidates == 0)
            return input.User.index_select(0, input.RowOf);
        var (users, width) = (input.User.shape[0], input.User.shape[1]);
        return input.User.unsqueeze(1).expand(users, input.UniformCandidates, width).reshape(users * input.UniformCandidates, width);
    }
}
