using KdServing.Contracts;
using static TorchSharp.torch;

namespace KdServing.Distiller.Students;

/// <summary>Family <c>mlp</c>: see <see cref="DenseMlp"/>.</summary>
internal sealed class MlpStudent : Student
{
    private readonly AffineLayer user;
    private readonly AffineLayer item;
    private readonly AffineLayer? live;
    private readonly List<AffineLayer> hidden;
    private readonly AffineLayer output;

    public MlpStudent(DenseMlp dense) : base("mlp", dense.Signature)
    {
        user = new(dense.User);
        item = new(dense.Item);
        live = dense.Live is null ? null : new(dense.Live);
        hidden = [.. dense.Hidden.Select(layer => new AffineLayer(layer))];
        output = new(dense.Output);
        register_module("user", user);
        register_module("item", item);
        if (live is not null)
            register_module("live", live);
        for (var k = 0; k < hidden.Count; k++)
            register_module($"hidden_{k}", hidden[k]);
        register_module("output", output);
    }

    public static DenseMlp Initial(StudentConfig config, FeatureSchema schema, InitialWeights weights)
    {
        var first = config.FirstLayer!.Value;
        var (u, i, l) = (schema.User.Width, schema.Item.Width, schema.Live.Width);
        var signature = new StudentSignature("mlp", u, i, l, first, first, schema.Targets);
        var user = weights.Layer(u, first, fanIn: u + i + l);
        var item = weights.Layer(i, first, hasBias: false, fanIn: u + i + l);
        var live = l == 0 ? null : weights.Layer(l, first, hasBias: false, fanIn: u + i + l);
        var hidden = weights.Tower(first, config.Hidden ?? []);
        var last = hidden.Count == 0 ? first : hidden[^1].Outputs;
        return new(signature, user, item, live, hidden, weights.Layer(last, schema.Targets.Count, bias: config.InitialLogit));
    }

    public override int LowerWidth => Signature.UserPartWidth;

    public override int HiddenWidth => output.Inputs;

    public override Tensor Lower(StudentInput input)
    {
        var h = PerCandidate(item.forward(input.Item), user.forward(input.User), input, (items, users) => items.add(users));
        if (live is not null)
            h = h.add_(live.forward(input.Live!));
        return h.relu_();
    }

    public override StudentOutput Upper(Tensor lower, StudentInput input)
    {
        var h = lower;
        foreach (var layer in hidden)
            h = layer.forward(h).relu_();
        return new(output.forward(h), h);
    }

    public override DenseStudent ToDense() => new DenseMlp(Signature, user.ToDense(), item.ToDense(), live?.ToDense(),
        [.. hidden.Select(h => h.ToDense())], output.ToDense());
}
