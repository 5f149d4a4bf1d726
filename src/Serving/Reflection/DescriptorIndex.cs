using Google.Protobuf.Reflection;
using ServiceDescriptor = Google.Protobuf.Reflection.ServiceDescriptor;

namespace KdServing.Serving.Reflection;

/// <summary>The proto files behind a set of services, by file name and by every symbol in them. Immutable.</summary>
internal sealed class DescriptorIndex
{
    private readonly Dictionary<string, FileDescriptor> byName = new(StringComparer.Ordinal);
    private readonly Dictionary<string, FileDescriptor> bySymbol = new(StringComparer.Ordinal);

    public DescriptorIndex(IReadOnlyList<ServiceDescriptor> services)
    {
        Services = [.. services.Select(s => s.FullName).Order(StringComparer.Ordinal)];
        foreach (var service in services)
            Add(service.File);
    }

    public IReadOnlyList<string> Services { get; }

    public FileDescriptor? File(string name) => byName.GetValueOrDefault(name);

    /// <summary>The file that defines a service, method, message, field or enum, by its full name.</summary>
    public FileDescriptor? FileOf(string symbol) => bySymbol.GetValueOrDefault(symbol);

    /// <summary>A file and all it imports, the file first.</summary>
    public static IReadOnlyList<FileDescriptor> WithImports(FileDescriptor file)
    {
        var files = new List<FileDescriptor> { file };
        for (var i = 0; i < files.Count; i++)
            files.AddRange(files[i].Dependencies.Where(d => !files.Contains(d)));
        return files;
    }

    private void Add(FileDescriptor file)
    {
        if (!byName.TryAdd(file.Name, file))
            return;
        foreach (var service in file.Services)
        {
            bySymbol[service.FullName] = file;
            foreach (var method in service.Methods)
                bySymbol[method.FullName] = file;
        }
        foreach (var type in file.EnumTypes)
            bySymbol[type.FullName] = file;
        foreach (var message in file.MessageTypes)
            Add(message, file);
        foreach (var import in file.Dependencies)
            Add(import);
    }

    private void Add(MessageDescriptor message, FileDescriptor file)
    {
        bySymbol[message.FullName] = file;
        foreach (var field in message.Fields.InDeclarationOrder())
            bySymbol[field.FullName] = file;
        foreach (var type in message.EnumTypes)
            bySymbol[type.FullName] = file;
        foreach (var nested in message.NestedTypes)
            Add(nested, file);
    }
}
