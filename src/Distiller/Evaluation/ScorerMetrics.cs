using System.Text.Json.Serialization;

namespace KdServing.Distiller.Evaluation;

/// <summary>What one scorer has shown so far; null: nothing to say yet.</summary>
/// <param name="Records">Records it scored.</param>
/// <param name="Auc">Over all candidates of all records.</param>
/// <param name="Gauc">Mean AUC of the records that hold both labels, every record counting once.</param>
/// <param name="Logloss">Mean over labelled candidates.</param>
/// <param name="NdcgAt10">Mean over records with a positive.</param>
/// <param name="OverlapAt10">With the teacher, mean over records of more than ten candidates.</param>
/// <param name="RankCorrelation">Spearman's, with the teacher; mean over records.</param>
/// <param name="Calibration">Σ p / Σ y over exposed candidates.</param>
public sealed record ScorerMetrics(
    long Records,
    double? Auc,
    double? Gauc,
    double? Logloss,
    [property: JsonPropertyName("ndcg_at_10")] double? NdcgAt10,
    [property: JsonPropertyName("overlap_at_10")] double? OverlapAt10,
    double? RankCorrelation,
    double? Calibration);

/// <summary>Progressive validation at one moment; serialises to the <c>scorers</c>, <c>gauc_difference_95</c> and <c>transfer_ratio</c> of the status.</summary>
/// <param name="GaucDifference95">[low, high] of the mean paired difference, e.g. <c>student_minus_frozen</c>; null with too few records.</param>
/// <param name="TransferRatio">
/// (AUC student − AUC labels only) / (AUC teacher − AUC labels only): the share of the teacher's advantage that distillation
/// handed on. Null while the teacher has no advantage.
/// </param>
/// <param name="ByTeacherVersion">The last versions of each teacher, in order of arrival.</param>
public sealed record EvaluationSnapshot(
    IReadOnlyDictionary<string, ScorerMetrics> Scorers,
    [property: JsonPropertyName("gauc_difference_95")] IReadOnlyDictionary<string, double[]?> GaucDifference95,
    double? TransferRatio,
    IReadOnlyList<TeacherVersionMetrics> ByTeacherVersion);
