namespace Grpc.Core;

/// <summary>Generated service classes name here the static method that binds them.</summary>
[AttributeUsage(AttributeTargets.Class)]
public class BindServiceMethodAttribute(Type bindType, string bindMethodName) : Attribute
{
    /// <summary>The type with the method.</summary>
    public Type BindType { get; } = bindType;

    /// <summary>A static method that takes a <see cref="ServiceBinderBase"/> and an instance of the service.</summary>
    public string BindMethodName { get; } = bindMethodName;
}
