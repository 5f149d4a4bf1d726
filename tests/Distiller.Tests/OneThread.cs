using System.Runtime.CompilerServices;

namespace KdServing.Distiller.Tests;

/// <summary>Tests train as a Distiller does by default: <c>"threads": 1</c>.</summary>
/// <remarks>
/// The count is one of the process and the results' bits depend on it. Commands set it, so without this it would change under a test that
/// runs beside one of them.
/// </remarks>
internal static class OneThread
{
    [ModuleInitializer]
    internal static void Set() => NativeLibraries.Require(threads: 1);
}
