using KdServing.Contracts;
using KdServing.Distiller.Students;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace KdServing.Distiller.Methods;

/// <summary>Distillation experts (DE, CIKM 2020): small networks from the student's space to the teacher's, of which the teacher's vector chooses.</summary>
/// <remarks>
/// E_m: d_s → (d_s + d_t)/2 → d_t with one relu. Choice: softmax(W·t + b), then Gumbel-softmax at a temperature that falls geometrically
/// with the steps; at the end one expert a candidate. The noise is a function of <see cref="LearningStep.Draw"/>.
/// </remarks>
internal sealed class Experts : Module<Tensor, Tensor>
{
    private readonly AffineLayer selection;
    private readonly List<Perceptron> experts = [];

    public Experts(int count, int studentWidth, int teacherWidth, InitialWeights weights) : base("experts")
    {
        selection = new(weights.Layer(teacherWidth, count));
        register_module("selection", selection);
        for (var m = 0; m < count; m++)
        {
            experts.Add(new(studentWidth, [(studentWidth + teacherWidth) / 2], teacherWidth, weights));
            register_module($"expert_{m}", experts[m]);
        }
    }

    /// <summary>Probability of each expert by the teacher's vector, [N, M].</summary>
    public override Tensor forward(Tensor teacher) => functional.softmax(selection.forward(teacher), 1);

    /// <summary>What the experts make of student vectors: [N, M, teacher width].</summary>
    public Tensor Outputs(Tensor student) => stack([.. experts.Select(e => e.forward(student))], 1);

    /// <summary>softmax((log p + noise) / τ).</summary>
    /// <param name="selected">[N, M].</param>
    /// <param name="noise">Gumbel's, [N, M].</param>
    public static Tensor Relaxed(Tensor selected, Tensor noise, double temperature) =>
        functional.softmax(selected.clamp_min(1e-10).log().add(noise).div(temperature), 1);

    /// <summary>‖t − Σ_m a_m·E_m(s)‖², mean over candidates.</summary>
    /// <param name="outputs">[N, M, width].</param>
    /// <param name="choice">a, [N, M].</param>
    public static Tensor Value(Tensor teacher, Tensor outputs, Tensor choice) =>
        teacher.detach().sub(outputs.mul(choice.unsqueeze(2)).sum(1)).square().sum(1).mean();

    /// <summary>Noise −log(−log u), [rows, columns], from a seed alone.</summary>
    public static Tensor Gumbel(ulong draw, int rows, int columns)
    {
        var noise = new float[rows * columns];
        for (var i = 0; i < noise.Length; i++)
        {
            draw = FeatureHash.Mix(draw);
            var u = ((draw >> 40) + 0.5) * (1.0 / (1 << 24));
            noise[i] = (float)-Math.Log(-Math.Log(u));
        }
        return tensor(noise).reshape(rows, columns);
    }

    /// <summary>τ of a step: from <paramref name="start"/> to <paramref name="end"/>, geometrically over so many steps.</summary>
    public static double Temperature(long step, double start, double end, long steps) =>
        start * Math.Pow(end / start, Math.Min(1, (double)step / Math.Max(1, steps)));
}
