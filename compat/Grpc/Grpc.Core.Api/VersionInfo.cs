namespace Grpc.Core;

/// <summary>The version of the API that this assembly offers.</summary>
public static class VersionInfo
{
    public const string CurrentAssemblyVersion = "2.0.0.0";

    public const string CurrentAssemblyFileVersion = "2.71.0.0";

    public const string CurrentVersion = "2.71.0";
}
