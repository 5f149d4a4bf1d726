using KdServing.Contracts;
using KdServing.Distiller.Publishing;
using KdServing.Distiller.Students;

namespace KdServing.Distiller.Tests.Publishing;

public sealed class StudentShapeTests
{
    private static readonly FeatureSchema Schema = FeatureSchema.Parse(SampleStudent.SchemaJson);
    private static readonly DenseMlp Mlp = (DenseMlp)RandomStudent.Make("mlp", Schema, 1);
    private static readonly DenseTwoTower Towers = (DenseTwoTower)RandomStudent.Make("two_tower", Schema, 1);

    public static TheoryData<string, DenseStudent> Misfits => new()
    {
        { "student.user[0]", Mlp with { User = Mlp.Item } },
        { "student.user[0]", Mlp with { User = Mlp.User with { Weight = Mlp.User.Weight[1..] } } },
        { "student.item", Mlp with { Item = Mlp.Item with { Bias = new float[Mlp.Item.Outputs] } } },
        { "student.live", Mlp with { Live = null } },
        { "student.hidden[0]", Mlp with { Hidden = [] } },
        { "student.combine[0]", Towers with { Combine = Towers.Combine with { Bias = new float[1] } } },
        { "student.live_net", Towers with { LiveNet = [] } },
        { "student.item_tower", Towers with { ItemTower = [] } },
        { "signature.family", Mlp with { Signature = Mlp.Signature with { Family = "two_tower" } } },
        { "manifest.signature", Mlp with { Signature = Mlp.Signature with { UserWidth = 1 } } },
        { "manifest.signature.targets", Mlp with { Signature = Mlp.Signature with { Targets = ["buy", "click"] } } },
    };

    [Theory]
    [MemberData(nameof(Misfits))]
    public void A_layer_that_does_not_fit_is_named(string field, DenseStudent student)
    {
        var fault = Assert.Throws<ContractException>(() => StudentShape.Require(student, Schema));

        Assert.Equal(field, fault.Field);
    }

    [Fact]
    public void Both_families_fit()
    {
        StudentShape.Require(Mlp, Schema);
        StudentShape.Require(Towers, Schema);
    }
}
