namespace KdServing.Contracts;

/// <summary>One version of a teacher that a version of the model has learned from.</summary>
/// <param name="Records">Records of its that were learned.</param>
/// <param name="Maps">Target → how its logits were taken.</param>
/// <param name="Metrics">Progressive, first target, on the records it scored: <c>teacher_gauc</c>, <c>student_logloss</c> …</param>
public sealed record LearnedTeacher(string Teacher, long Version, long Records, IReadOnlyDictionary<string, TeacherMap> Maps,
    IReadOnlyDictionary<string, double> Metrics);

/// <summary>A teacher's logits were learned as <paramref name="Scale"/> · logit + <paramref name="Bias"/>, so that a new version of it makes no score jump.</summary>
/// <param name="HandedOn">Share of the last jump that was handed on, because the labels bore it out; 0 to 1.</param>
public sealed record TeacherMap(double Scale, double Bias, double HandedOn);
