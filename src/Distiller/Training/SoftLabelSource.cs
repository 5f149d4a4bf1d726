using KdServing.Contracts;

namespace KdServing.Distiller.Training;

/// <summary>Where a soft label comes from: a teacher's logits for one target.</summary>
/// <param name="Teacher">Null: whichever teacher of the record comes first.</param>
public sealed record SoftLabelSource(string? Teacher, string Target)
{
    /// <summary>What <c>soft_label_name</c> says when the record's first teacher is meant.</summary>
    public const string AnyTeacher = "teacher_logits";

    /// <summary>Reads <c>teacher/target</c> or <c>teacher_logits</c>.</summary>
    /// <param name="target">The target of the prediction it is compared with.</param>
    /// <exception cref="ContractException">Neither form, or no such target.</exception>
    public static SoftLabelSource Parse(string? name, string target, FeatureSchema schema, string field)
    {
        if (name == AnyTeacher)
            return new(null, target);
        var slash = name?.LastIndexOf('/') ?? -1;
        if (slash > 0 && schema.Targets.Contains(name![(slash + 1)..]))
            return new(name[..slash], name[(slash + 1)..]);
        throw new ContractException(field,
            $"'{name}' is not a soft label; use {AnyTeacher}, or TEACHER/TARGET with one of the targets {string.Join(", ", schema.Targets)}");
    }

    /// <summary>What this teacher said of the record; null when it did not score it.</summary>
    public TeacherOutput? Output(TeacherRecord record)
    {
        foreach (var output in record.Outputs)
        {
            if (output.Target == Target && (Teacher is null || output.Teacher == Teacher))
                return output;
        }
        return null;
    }
}

/// <summary>A teacher's hidden vectors as the stream brings them (<c>hidden</c> of a <see cref="TeacherOutput"/>).</summary>
/// <param name="Width">Numbers a candidate; a record with another width counts as one without.</param>
public sealed record HiddenSource(SoftLabelSource Of, int Width);
