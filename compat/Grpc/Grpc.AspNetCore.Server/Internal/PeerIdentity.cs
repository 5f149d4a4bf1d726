using System.Security.Cryptography.X509Certificates;
using Grpc.Core;
using Microsoft.AspNetCore.Http;

namespace Grpc.AspNetCore.Server.Internal;

/// <summary>What a client's certificate says of it, under the property names that every gRPC implementation uses.</summary>
internal static class PeerIdentity
{
    private const string CommonName = "x509_common_name";
    private const string SubjectAlternativeName = "x509_subject_alternative_name";

    public static AuthContext Of(HttpContext httpContext)
    {
        var certificate = httpContext.Connection.ClientCertificate;
        if (certificate is null)
            return new AuthContext(null, []);

        var properties = new Dictionary<string, List<AuthProperty>>();
        Add(properties, CommonName, certificate.GetNameInfo(X509NameType.SimpleName, forIssuer: false));
        foreach (var extension in certificate.Extensions.OfType<X509SubjectAlternativeNameExtension>())
            foreach (var name in extension.EnumerateDnsNames())
                Add(properties, SubjectAlternativeName, name);

        return new AuthContext(properties.ContainsKey(SubjectAlternativeName) ? SubjectAlternativeName : CommonName, properties);
    }

    private static void Add(Dictionary<string, List<AuthProperty>> properties, string name, string value)
    {
        if (!properties.TryGetValue(name, out var sameName))
            properties[name] = sameName = [];
        sameName.Add(AuthProperty.Create(name, System.Text.Encoding.UTF8.GetBytes(value)));
    }
}
