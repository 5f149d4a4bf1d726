using KdServing.Contracts;
using KdServing.Distiller.Students;

namespace KdServing.Distiller.Publishing;

/// <summary>Do a student's layers fit together and the schema? A slip here would be a wrong model, not a crash.</summary>
public static class StudentShape
{
    /// <exception cref="ContractException">The signature is not the schema's, or a layer has another shape than its place asks for.</exception>
    public static void Require(DenseStudent student, FeatureSchema schema)
    {
        var signature = student.Signature;
        signature.Require(schema);
        var (hasLive, targets) = (signature.LiveWidth > 0, signature.Targets.Count);
        switch (student)
        {
            case DenseMlp mlp:
                var width = signature.UserPartWidth;
                RequireFamily(signature, "mlp");
                RequireChain([mlp.User], "user", signature.UserWidth, width);
                RequireChain([mlp.Item], "item", signature.ItemWidth, width);
                RequireNoBias(mlp.Item, "item");
                RequirePresence(hasLive, mlp.Live is not null, "live");
                if (mlp.Live is not null)
                {
                    RequireChain([mlp.Live], "live", signature.LiveWidth, width);
                    RequireNoBias(mlp.Live, "live");
                }
                RequireChain([.. mlp.Hidden, mlp.Output], "hidden", width, targets);
                break;
            case DenseTwoTower towers:
                RequireFamily(signature, "two_tower");
                RequireChain(towers.UserTower, "user_tower", signature.UserWidth, signature.UserPartWidth);
                RequireChain(towers.ItemTower, "item_tower", signature.ItemWidth, signature.ItemVectorWidth);
                RequireChain([towers.Combine], "combine", signature.UserPartWidth, targets);
                RequirePresence(hasLive, towers.LiveNet.Count > 0, "live_net");
                if (hasLive)
                    RequireChain(towers.LiveNet, "live_net", signature.LiveWidth, targets);
                break;
            default:
                throw new ContractException("student", $"of type {student.GetType().Name} is of no known family");
        }
        if (signature.UserPartWidth != signature.ItemVectorWidth)
        {
            throw new ContractException("signature",
                $"user part ({signature.UserPartWidth}) and item vector ({signature.ItemVectorWidth}) differ in width");
        }
    }

    private static void RequireFamily(StudentSignature signature, string family)
    {
        if (signature.Family != family)
            throw new ContractException("signature.family", $"is '{signature.Family}', the student is of family '{family}'");
    }

    private static void RequirePresence(bool wanted, bool present, string part)
    {
        if (wanted != present)
        {
            throw new ContractException($"student.{part}", wanted
                ? "is missing: the schema has live or cross features"
                : "must be absent: the schema has no live or cross features");
        }
    }

    private static void RequireNoBias(DenseLayer layer, string part)
    {
        if (layer.Bias is not null)
            throw new ContractException($"student.{part}", "must have no bias: the user's part holds it");
    }

    private static void RequireChain(IReadOnlyList<DenseLayer> layers, string part, int inputs, int outputs)
    {
        if (layers.Count == 0)
            throw new ContractException($"student.{part}", "must have at least one layer");
        for (var k = 0; k < layers.Count; k++)
        {
            var layer = layers[k];
            if (layer.Inputs != inputs || (k == layers.Count - 1 && layer.Outputs != outputs))
            {
                throw new ContractException($"student.{part}[{k}]",
                    $"is {layer.Inputs} → {layer.Outputs}; it must take {inputs}, and the last layer give {outputs}");
            }
            if (layer.Weight.Length != layer.Inputs * layer.Outputs || (layer.Bias is { } bias && bias.Length != layer.Outputs))
                throw new ContractException($"student.{part}[{k}]", "holds another number of weights than its shape");
            inputs = layer.Outputs;
        }
    }
}
