using Grpc.Core;
using KdServing.Contracts;

namespace KdServing.Serving.Control.Commands;

/// <summary>What <c>kd models --control</c> does. True: nothing is wrong.</summary>
/// <param name="headers">Of every call: the token, when there is one.</param>
internal sealed class ServerVersionsClient(ModelControl.ModelControlClient client, Metadata headers)
{
    private static readonly TimeSpan Quick = TimeSpan.FromSeconds(15);
    // A base of some gigabytes is read and verified before it is served.
    private static readonly TimeSpan Loading = TimeSpan.FromMinutes(3);

    public bool List(TextWriter output)
    {
        Write(output, client.List(new(), Call(Quick)));
        return true;
    }

    public bool Show(TextWriter output, long version)
    {
        var detail = client.Show(new() { Version = version }, Call(Quick));
        var manifest = VersionManifest.Parse(detail.Manifest.Span);
        VersionText.WriteManifest(output, manifest, manifest.Kind == VersionKind.Base ? [manifest.Version] : [manifest.BaseVersion, manifest.Version]);
        output.WriteLine($"  here         {detail.Role}{(detail.Problem.Length == 0 ? "" : $"; {detail.Problem}")}");
        return true;
    }

    public bool Pin(TextWriter output, long version) => Done(output, client.Pin(new() { Version = version }, Call(Loading)));

    public bool Unpin(TextWriter output) => Done(output, client.Unpin(new(), Call(Quick)));

    public bool Rollback(TextWriter output, string reason)
    {
        var reply = client.Rollback(new() { Reason = reason }, Call(Quick));
        output.WriteLine(FormattableString.Invariant($"rolled back from version {reply.From} to version {reply.To} in {reply.TookMs:F2} ms; it stays pinned until 'unpin'"));
        return true;
    }

    public bool Hold(TextWriter output, bool release, string reason) => Done(output, client.Hold(new() { Release = release, Reason = reason }, Call(Quick)));

    public bool Canary(TextWriter output, CanaryRequest request) => Done(output, client.Canary(request, Call(Loading)));

    public bool Diff(TextWriter output, long from, long to)
    {
        VersionText.WriteDifference(output, client.Diff(new() { From = from, To = to }, Call(Quick)));
        return true;
    }

    public Explanation Explain(string requestId, int topK) => client.Explain(new() { RequestId = requestId, TopK = topK }, Call(Quick));

    public string ModelName() => client.List(new(), Call(Quick)).Model;

    private CallOptions Call(TimeSpan patience) => new(headers, DateTime.UtcNow + patience);

    private static bool Done(TextWriter output, ServerVersions versions)
    {
        WriteStanding(output, versions);
        return true;
    }

    private static void Write(TextWriter output, ServerVersions versions)
    {
        VersionText.WriteHeader(output, withModel: false);
        foreach (var version in versions.Versions)
            VersionText.WriteRow(output, null, version);
        WriteStanding(output, versions);
    }

    private static void WriteStanding(TextWriter output, ServerVersions versions)
    {
        output.WriteLine($"{versions.Model}: {Number("serves", versions.Current) ?? "serves no version yet"}{Number("; keeps warm", versions.Previous)}");
        if (versions.Candidate != 0)
        {
            output.WriteLine(FormattableString.Invariant($"canary: version {versions.Candidate} answers {versions.CandidateShare:P0} of the requests and scores {versions.ShadowShare:P0} in shadow")
                + (versions.Shadow.Requests == 0 ? "" : FormattableString.Invariant($"; churn {versions.Shadow.MeanChurn:F3} on {versions.Shadow.Requests} requests")));
        }
        if (versions.Pinned != 0)
            output.WriteLine($"pinned: version {versions.Pinned}");
        if (versions.Held)
            output.WriteLine($"held: {versions.HeldReason}");
    }

    private static string? Number(string words, long version) => version == 0 ? null : $"{words} version {version}";
}
