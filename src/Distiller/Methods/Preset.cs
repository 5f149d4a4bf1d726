using System.Text.Json;
using KdServing.Contracts;
using KdServing.Distiller.Losses;
using KdServing.Distiller.Students;
using KdServing.Distiller.Training;

namespace KdServing.Distiller.Methods;

/// <summary>What a preset needs of the data beyond a teacher's logits and labels.</summary>
[Flags]
public enum PresetNeeds
{
    None = 0,

    /// <summary>Records with a teacher's logits; absent for presets whose teacher trains in the Distiller.</summary>
    TeacherLogits = 1,

    /// <summary>Logits of at least two teachers, named in the block's <c>teachers</c>.</summary>
    SeveralTeachers = 2,

    /// <summary>A schema with features of side <c>privileged</c>, and records that bring them.</summary>
    Privileged = 4,

    /// <summary>Candidates that were not exposed.</summary>
    Unexposed = 8,
}

/// <summary>What a preset is asked for.</summary>
/// <param name="Field">The name of its block.</param>
public sealed record PresetRequest(FeatureSchema Schema, StudentConfig Shape, DistillerConfig Config, string Field)
{
    /// <summary>The soft label of a streamed teacher, as <c>soft_label_name</c> spells it.</summary>
    /// <param name="teacher">Null: the record's first.</param>
    public string SoftLabel(string? teacher) => teacher is null ? SoftLabelSource.AnyTeacher : $"{teacher}/{Schema.Targets[0]}";

    /// <summary>A streamed teacher's label of every target.</summary>
    public IReadOnlyList<SoftLabelSource> Sources(string? teacher) => [.. Schema.Targets.Select(t => new SoftLabelSource(teacher, t))];
}

/// <summary>A method of distillation that one switches on by its name; see <c>docs/presets.md</c>.</summary>
/// <param name="Summary">One sentence.</param>
/// <param name="Source">Where the formula is from.</param>
/// <param name="OptionsType">Of its block.</param>
/// <param name="Build">Reads the block (null: defaults) and makes the recipe.</param>
public sealed record Preset(string Name, string Summary, string Source, PresetNeeds Needs, Type OptionsType, Func<JsonElement?, PresetRequest, Recipe> Build)
{
    /// <summary>A preset whose block is of this type.</summary>
    /// <param name="require">Checks the block.</param>
    internal static Preset Of<TOptions>(string name, string summary, string source, PresetNeeds needs, Action<TOptions, PresetRequest> require,
        Func<TOptions, PresetRequest, Recipe> build) where TOptions : new() => new(name, summary, source, needs, typeof(TOptions), (block, request) =>
        {
            var options = ConfigBlock.Read<TOptions>(block, name);
            require(options, request);
            return build(options, request);
        });

    /// <summary>A preset on what a teacher streams.</summary>
    internal static Preset OfResponse<TOptions>(string name, string summary, string source, Func<TOptions, PresetRequest, Recipe> build,
        PresetNeeds more = PresetNeeds.None) where TOptions : ResponseOptions, new() =>
        Of(name, summary, source, PresetNeeds.TeacherLogits | more, (o, r) => o.Require(r.Field), build);

    /// <summary>A preset with a joint teacher.</summary>
    internal static Preset OfJoint<TOptions>(string name, string summary, string source, Func<TOptions, PresetRequest, Recipe> build,
        PresetNeeds needs = PresetNeeds.None) where TOptions : JointOptions, new() =>
        Of(name, summary, source, needs, (o, r) => o.Require(r.Field, r.Schema), build);
}
