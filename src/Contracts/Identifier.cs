using System.Text.RegularExpressions;

namespace KdServing.Contracts;

/// <summary>Names of models, features, tables and targets. No name can leave a folder or break a key.</summary>
public static partial class Identifier
{
    [GeneratedRegex("^[a-z0-9_-]{1,64}$", RegexOptions.CultureInvariant)]
    private static partial Regex Pattern();

    /// <exception cref="ContractException">The name is not 1 to 64 of <c>a-z 0-9 _ -</c>.</exception>
    public static string Require(string? name, string field) =>
        name is not null && Pattern().IsMatch(name) && !name.EndsWith('\n')
            ? name
            : throw new ContractException(field, "must be 1 to 64 characters of a-z, 0-9, '_' and '-'");
}
