using System.Text;
using Google.Protobuf.Reflection;

namespace KdServing.Contracts.Tests.Protos;

/// <summary>Field names and numbers are a contract with every client and every stored record.</summary>
public sealed class ProtoApprovalTests
{
    [Fact]
    public void The_descriptors_are_those_approved()
    {
        FileDescriptor[] files =
        [
            FeaturesReflection.Descriptor, GoldenReflection.Descriptor, ItemReflection.Descriptor, ModelControlReflection.Descriptor, RankingReflection.Descriptor, TeacherReflection.Descriptor,
        ];
        var text = new StringBuilder();
        foreach (var file in files)
            Describe(file, text);

        // To approve a change on purpose: copy what this test prints. Never renumber a field; reserve it and add another.
        Assert.Equal(File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "Protos", "descriptors.approved.txt")), text.ToString());
    }

    private static void Describe(FileDescriptor file, StringBuilder text)
    {
        text.Append(file.Package).Append(' ').Append(file.Name).Append('\n');
        foreach (var type in file.EnumTypes)
            text.Append($"  enum {type.Name}: {string.Join(", ", type.Values.Select(v => $"{v.Name} = {v.Number}"))}\n");
        foreach (var type in file.MessageTypes)
        {
            text.Append($"  message {type.Name}\n");
            foreach (var field in type.Fields.InFieldNumberOrder())
                text.Append($"    {field.FieldNumber} {(field.IsRepeated ? "repeated " : "")}{TypeName(field)} {field.Name}{(field.RealContainingOneof is { } one ? $" in {one.Name}" : "")}\n");
        }
        foreach (var service in file.Services)
        {
            text.Append($"  service {service.FullName}\n");
            foreach (var method in service.Methods)
                text.Append($"    {method.Name}({(method.IsClientStreaming ? "stream " : "")}{method.InputType.Name}) {(method.IsServerStreaming ? "stream " : "")}{method.OutputType.Name}\n");
        }
    }

    private static string TypeName(FieldDescriptor field) => field.FieldType switch
    {
        FieldType.Message => field.MessageType.Name,
        FieldType.Enum => field.EnumType.Name,
        var scalar => scalar.ToString().ToLowerInvariant(),
    };
}
