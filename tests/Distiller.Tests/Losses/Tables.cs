using System.Text.Json;
using KdServing.Contracts;
using KdServing.Distiller.Losses;

namespace KdServing.Distiller.Tests.Losses;

/// <summary>The shared inputs of the distillation vectors, and a kd entry evaluated on one of them.</summary>
internal static class Tables
{
    public const string Pointwise = """
        { "columns": {
          "logits": [0.5, -1.2, 2.0, 0.3],
          "probs": [0.6224593312018546, 0.23147521650098238, 0.8807970779778823, 0.574442516811659],
          "soft": [1.0, -2.0, 1.5, -0.5],
          "soft_probs": [0.7310585786300049, 0.11920292202211755, 0.8175744761936437, 0.3775406687981454],
          "label": [1, 0, 1, 0],
          "space": ["in", "out", "in", "in"] } }
        """;

    public const string Classes = """
        { "columns": {
          "logits": [[1.0, 0.2, -0.5], [0.1, 0.4, 2.0]],
          "soft": [[2.0, 0.5, -1.0], [0.0, 1.0, 1.5]],
          "probs": [[0.5979219375176557, 0.2686636448077703, 0.133414417674574], [0.1106714595173365, 0.1493908443767678, 0.7399376961058955]],
          "soft_probs": [[0.7855970345892759, 0.1752903921400367, 0.0391125732706875], [0.1219516523097289, 0.3314989604240915, 0.5465493872661796]],
          "label": [0, 2] } }
        """;

    public const string Sessions = """
        { "columns": {
          "logits": [0.2, 1.0, -0.5, 0.7, 0.1],
          "soft": [1.5, 0.3, -1.0, 0.2, 0.9],
          "soft_probs": [0.8175744761936437, 0.574442516811659, 0.2689414213699951, 0.549833997312478, 0.7109495026250039],
          "place": [1, 2, 3, 2, 1],
          "label": [1, 0, 1, 0, 1],
          "flat": [1, 1, 1, 1, 1],
          "session": ["a", "a", "a", "b", "b"],
          "space": [0, 1, 1, 1, 1] } }
        """;

    public const string TwoLogits = """
        { "columns": {
          "logits": [[0.1, 0.4], [0.3, -0.2], [-0.5, 0.6], [0.2, 0.1], [0.0, 0.9]],
          "label": [1, 0, 1, 0, 1],
          "session": ["a", "a", "a", "b", "b"] } }
        """;

    public const string Embeddings = """
        { "columns": {
          "logits": [[1, 0], [0.6, 0.8], [0, 1]],
          "soft": [[0.9, 0.1], [0.5, 0.5], [0.2, 0.8]] } }
        """;

    public const string Auction = """
        { "columns": {
          "probs": [0.02, 0.05, 0.01, 0.03],
          "soft_probs": [0.4, 0.3, 0.04, 0.1],
          "bid": [2, 1, 5, 1],
          "session": [1, 1, 1, 1] } }
        """;

    /// <param name="entry">Fields of the entry without braces; <c>pred_name</c> and <c>soft_label_name</c> are <c>logits</c> and <c>soft</c> unless given.</param>
    public static LossReport Evaluate(string table, string entry) => new LossEvaluation(LossTable.Parse(table)).Evaluate([Entry(entry)]).Single();

    public static KdLossConfig Entry(string entry)
    {
        var config = JsonSerializer.Deserialize<KdLossConfig>($"{{ {entry} }}", ContractJson.Options)!;
        return config with { PredName = config.PredName ?? "logits", SoftLabelName = config.SoftLabelName ?? "soft" };
    }

    public static double[] Gradient(LossReport report) => [.. report.Gradient.SelectMany(g => g as double[] ?? [(double)g])];
}
