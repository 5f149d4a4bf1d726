using Microsoft.Extensions.DependencyInjection;

namespace Grpc.AspNetCore.Server.Internal;

/// <summary>
/// Where the instances of a type come from: one singleton, the scope of the request, or, for a type that is not registered,
/// a new instance for every call, which is disposed after it.
/// </summary>
internal sealed class Activation<T>
    where T : class
{
    private readonly IServiceProvider _root;
    private readonly ObjectFactory _create;
    private readonly object[] _arguments;
    private readonly Type _type;
    private T? _singleton;

    /// <param name="root">The root of the container.</param>
    /// <param name="type">The type to make.</param>
    /// <param name="arguments">Constructor arguments; with them the container's own instance is not asked for.</param>
    public Activation(IServiceProvider root, Type type, params object[] arguments)
    {
        _root = root;
        _type = type;
        _arguments = arguments;
        IsSingleton = arguments.Length == 0 && root.GetRequiredService<RegisteredLifetimes>().IsSingleton(type);
        _create = ActivatorUtilities.CreateFactory(type, [.. arguments.Select(argument => argument.GetType())]);
    }

    public bool IsSingleton { get; }

    /// <summary>The one instance, made by the first call.</summary>
    public T Singleton => _singleton ??= (T)_root.GetRequiredService(_type);

    /// <summary>An instance from the scope of a request; it must be released after the call.</summary>
    public T Create(IServiceProvider scope, out bool isOwned)
    {
        var registered = _arguments.Length == 0 ? scope.GetService(_type) : null;
        isOwned = registered is null;
        return (T)(registered ?? _create(scope, _arguments));
    }

    public static ValueTask ReleaseAsync(T instance, bool isOwned)
    {
        switch (isOwned ? instance : null)
        {
            case IAsyncDisposable asyncDisposable:
                return asyncDisposable.DisposeAsync();
            case IDisposable disposable:
                disposable.Dispose();
                return default;
            default:
                return default;
        }
    }
}
