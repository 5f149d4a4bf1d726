using KdServing.Contracts;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace KdServing.Distiller.Methods;

/// <summary>Rocket's hint on hidden layers: the student's last one follows the booster's first one of equal width.</summary>
/// <remarks>
/// As EasyRec's feature_based_distillation is meant (and TorchEasyRec's is): weight·(−mean cosine), or weight 1 times the root of all
/// squared differences. EasyRec itself passes the wrong variable, so that its Euclidean branch always runs, with the cosine's sign: it
/// pushes the layers apart.
/// </remarks>
internal sealed class LayerHint : MethodPart
{
    private readonly LayerHintKind kind;
    private readonly double weight;
    private readonly int layer;

    private LayerHint(LayerHintKind kind, double weight, int layer) => (this.kind, this.weight, this.layer) = (kind, weight, layer);

    /// <exception cref="ContractException">No layer of the booster has the student's width.</exception>
    public static LayerHint Of(RocketOptions options, PresetRequest request)
    {
        var layer = options.Layers.ToList().IndexOf(request.Shape.HiddenWidth);
        return layer >= 0
            ? new(options.FeatureHint, options.FeatureHintWeight, layer)
            : throw new ContractException($"{request.Field}.layers", $"has no layer of width {request.Shape.HiddenWidth}, the student's last one, which feature_hint compares; add one or drop feature_hint");
    }

    public override void Run(LearningStep step) => step.Add("layer", Value(kind, step.TeacherLayers[layer], step.Hidden!), weight);

    /// <param name="teacher">[N, width].</param>
    /// <param name="student">[N, width].</param>
    internal static Tensor Value(LayerHintKind kind, Tensor teacher, Tensor student) => kind == LayerHintKind.Cosine
        ? functional.cosine_similarity(student, teacher.detach()).mean().neg()
        : student.sub(teacher.detach()).square().sum().add(1e-12).sqrt();
}
