using KdServing.Contracts;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace KdServing.Distiller.Students;

/// <summary>Family <c>two_tower</c>: see <see cref="DenseTwoTower"/>.</summary>
internal sealed class TwoTowerStudent : Student
{
    private readonly List<AffineLayer> userTower;
    private readonly List<AffineLayer> itemTower;
    private readonly AffineLayer combine;
    private readonly List<AffineLayer> liveNet;

    public TwoTowerStudent(DenseTwoTower dense) : base("two_tower", dense.Signature)
    {
        userTower = Register("user_tower", dense.UserTower);
        itemTower = Register("item_tower", dense.ItemTower);
        combine = Register("combine", [dense.Combine])[0];
        liveNet = Register("live_net", dense.LiveNet);
    }

    public static DenseTwoTower Initial(StudentConfig config, FeatureSchema schema, InitialWeights weights)
    {
        var dimension = config.UserTower![^1];
        var signature = new StudentSignature("two_tower", schema.User.Width, schema.Item.Width, schema.Live.Width,
            dimension, dimension, schema.Targets);
        var users = weights.Tower(schema.User.Width, config.UserTower);
        var items = weights.Tower(schema.Item.Width, config.ItemTower!);
        var combine = weights.Layer(dimension, schema.Targets.Count, bias: config.InitialLogit);
        // Begins as the plain inner product: a random sign a dimension would first have to be unlearned.
        combine.Weight.AsSpan().Fill(1f / MathF.Sqrt(dimension));
        var live = schema.Live.Width == 0 ? [] : weights.Tower(schema.Live.Width, [.. config.LiveNet ?? [], schema.Targets.Count]);
        return new(signature, users, items, combine, live);
    }

    public override int LowerWidth => Signature.UserPartWidth;

    public override int HiddenWidth => Signature.UserPartWidth;

    public override Tensor Lower(StudentInput input) =>
        PerCandidate(Through(itemTower, input.Item), Through(userTower, input.User), input, (items, users) => items.mul(users));

    public override StudentOutput Upper(Tensor lower, StudentInput input)
    {
        var logits = combine.forward(lower);
        return new(liveNet.Count == 0 ? logits : logits.add(Through(liveNet, input.Live!)), lower);
    }

    public override DenseStudent ToDense() => new DenseTwoTower(Signature, [.. userTower.Select(l => l.ToDense())],
        [.. itemTower.Select(l => l.ToDense())], combine.ToDense(), [.. liveNet.Select(l => l.ToDense())]);

    private static Tensor Through(List<AffineLayer> tower, Tensor input)
    {
        for (var k = 0; k < tower.Count; k++)
        {
            input = tower[k].forward(input);
            if (k + 1 < tower.Count)
                input = functional.relu(input);
        }
        return input;
    }

    private List<AffineLayer> Register(string name, IReadOnlyList<DenseLayer> layers)
    {
        var registered = new List<AffineLayer>();
        foreach (var layer in layers)
        {
            registered.Add(new(layer));
            register_module($"{name}_{registered.Count - 1}", registered[^1]);
        }
        return registered;
    }
}
