using System.Globalization;
using System.Text;
using KdServing.Contracts;
using KdServing.Serving.Accelerators;
using KdServing.Serving.Kernels;
using Microsoft.ML.OnnxRuntime;

namespace KdServing.Serving.Models;

/// <summary>Makes a <see cref="Servable"/> of a published version, or says why not. Trusts no file: what is checked is the buffer that is used.</summary>
/// <remarks>One thread at a time, away from the requests; the server gives it a <see cref="NicedThread"/>.</remarks>
/// <param name="recent">Requests to warm up with, beside the golden ones.</param>
/// <param name="warmUpLimit">Time after which a version is warm enough.</param>
public sealed class ServableLoader(ModelRepository repository, InferenceRuntime runtime, ScoringBufferPool pool, RecentRequests recent,
    TimeSpan warmUpLimit)
{
    // Two scorings each: a few milliseconds of a core a swap.
    private const int ComparedRequests = 8;

    private readonly ModelRepository repository = repository;
    private readonly WarmUp warmUp = new(warmUpLimit);
    private readonly Pace pace = new();

    /// <summary>What scores the versions loaded.</summary>
    public EngineChoice Engine { get; init; }

    /// <summary>Whether a load beside a version that serves rests between its steps (<see cref="Pace"/>): up to 250 ms longer, and hardly felt by requests.</summary>
    public bool RestsBesideRequests { get; init; }

    /// <summary>By how much a kernel's logit may differ from ONNX Runtime's, of max(1, |logit|); below 0 every kernel is refused.</summary>
    internal float KernelTolerance { get; init; } = EngineParity.Tolerance;

    /// <summary>Verifies every file, opens the graphs, applies the rows, and compares scores with the trainer's.</summary>
    /// <param name="held">The version in service: when the new one builds on it, its rows are shared and only what changed is read.</param>
    /// <exception cref="VersionRefusedException">The version is not served; nothing of it stays in memory.</exception>
    /// <param name="from">Where the version lies; null: the repository given at construction.</param>
    public Servable Load(string model, long version, Servable? held, ModelRepository? from = null)
    {
        var repository = from ?? this.repository;
        pace.Begin(RestsBesideRequests && held is not null);
        try
        {
            var manifest = repository.Manifest(model, version);
            repository.RequireNothingElse(manifest);
            var schema = ReadSchema(repository, manifest);
            manifest.Signature.Require(schema);
            pace.Rest();
            var golden = ReadGolden(repository, manifest);
            pace.Rest();
            var files = ReadGraphs(repository, manifest);
            var weights = StudentWeights.Read(files[0], files[1], files[2]);
            // What a kernel or a device computes, ONNX Runtime on the processor only checks.
            var kernelScores = weights is not null && DenseTiles.IsSupported && Engine != EngineChoice.Onnx;
            var graphs = OpenGraphs(files, weights, shares: kernelScores || runtime.Devices is not null);
            Servable? servable = null;
            try
            {
                var tables = ReadRows(repository, manifest, schema, held, out var rowsFrom);
                servable = new(manifest, schema, tables, graphs, [.. golden.Cases.Select(c => c.Request)], pool) { RowsFrom = rowsFrom };
                if (!kernelScores)
                    servable.Engine = ScoringEngine.OnnxRuntime;
                else if (Engine == EngineChoice.Vectors)
                    servable.Engine = ScoringEngine.Kernel;
                if (runtime.Devices is { } devices)
                    Place(servable, devices, files, held);
                EngineParity.Choose(servable, golden, KernelTolerance, pace);
                if (servable.Engine == ScoringEngine.OnnxRuntime && servable.SharesSessions)
                    servable.Reopen(OpenGraphs(files, weights, shares: false));
                GoldenParity.Require(servable, golden, pace);
                return servable;
            }
            catch
            {
                if (servable is null)
                    graphs.Dispose();
                servable?.Dispose();
                throw;
            }
        }
        catch (Exception e) when (e is ContractException or OnnxRuntimeException or NonFiniteScoreException)
        {
            throw new VersionRefusedException(version, e.Message, isFinal: true, e);
        }
        // The files may be there in a moment (a slow disk, a network share), or memory may be free again.
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or OutOfMemoryException)
        {
            throw new VersionRefusedException(version, e.Message, isFinal: false, e);
        }
    }

    /// <summary>Scores with a loaded version until its latency has settled.</summary>
    /// <exception cref="VersionRefusedException">A recent request of a client gets a score that is not finite.</exception>
    public void WarmUp(Servable servable) => warmUp.Run(servable, [.. recent.Take().Select(a => a.Request)], pace);

    /// <summary>How much a loaded version would change what the one in service shows, on recent requests of clients.</summary>
    /// <exception cref="VersionRefusedException">It scores one of them with a number that is not finite.</exception>
    public RankChurn Compare(Servable incumbent, Servable candidate)
    {
        var churn = new RankChurn();
        try
        {
            foreach (var answered in recent.Take().Take(ComparedRequests))
            {
                churn.Add(answered.Request, incumbent, candidate);
                pace.Rest();
            }
            return churn;
        }
        catch (NonFiniteScoreException e)
        {
            throw new VersionRefusedException(candidate.Version, $"{e.Message} for a recent request", isFinal: true, e);
        }
    }

    private static FeatureSchema ReadSchema(ModelRepository repository, VersionManifest manifest)
    {
        var schema = FeatureSchema.Parse(Encoding.UTF8.GetString(repository.ReadVerified(manifest, StudentSignature.SchemaFile)));
        return schema.Fingerprint.ToString("x16", CultureInfo.InvariantCulture) == manifest.SchemaFingerprint
            ? schema
            : throw new ContractException(StudentSignature.SchemaFile, $"has fingerprint {schema.Fingerprint:x16}, the manifest says {manifest.SchemaFingerprint}");
    }

    private static GoldenBatch ReadGolden(ModelRepository repository, VersionManifest manifest)
    {
        try
        {
            return GoldenBatch.Parser.ParseFrom(repository.ReadVerified(manifest, StudentSignature.GoldenFile));
        }
        catch (Exception e) when (UntrustedMessage.IsMalformed(e))
        {
            throw new ContractException(StudentSignature.GoldenFile, "is not a golden batch");
        }
    }

    // Of the user encoder, the item encoder and the head.
    private List<byte[]> ReadGraphs(ModelRepository repository, VersionManifest manifest)
    {
        var files = new List<byte[]>();
        foreach (var contract in (GraphContract[])[GraphContract.UserEncoder(manifest.Signature),
            GraphContract.ItemEncoder(manifest.Signature), GraphContract.Head(manifest.Signature)])
        {
            var file = repository.ReadVerified(manifest, contract.File);
            OnnxScan.Require(contract, file);
            files.Add(file);
            pace.Rest();
        }
        return files;
    }

    private ServableGraphs OpenGraphs(List<byte[]> files, StudentWeights? weights, bool shares)
    {
        var opened = new List<OpenGraph>();
        try
        {
            foreach (var file in files)
            {
                opened.Add(runtime.OpenGraph(file, shares));
                pace.Rest();
            }
            return new(opened[0], opened[1], opened[2], weights);
        }
        catch
        {
            foreach (var graph in opened)
                graph.Dispose();
            throw;
        }
    }

    // A version that can not be on the device is served all the same.
    private void Place(Servable servable, DeviceModels devices, List<byte[]> files, Servable? held)
    {
        try
        {
            servable.Device = devices.Open(files, servable.Schema, servable.Manifest.Signature, servable.Tables, held?.Device, pace.Rest);
        }
        catch (AcceleratorException e)
        {
            servable.EngineRefusal = e.Message;
        }
    }

    private IReadOnlyList<EmbeddingTable> ReadRows(ModelRepository repository, VersionManifest manifest, FeatureSchema schema, Servable? held,
        out VersionManifest? rowsFrom)
    {
        var chain = repository.Chain(manifest);
        var ofSameTables = held?.Manifest.SchemaFingerprint == manifest.SchemaFingerprint;
        var next = ofSameTables ? IndexOf(chain, held!.Manifest) + 1 : 0;
        rowsFrom = next > 0 ? held!.Manifest : null;
        var tables = new List<EmbeddingTable>();
        try
        {
            // A chain that begins anew does so with a base, which brings every row: written over the rows held, only what differs is copied, and
            // the rest stays in memory and in the caches.
            if (ofSameTables)
                tables.AddRange(held!.Tables.Select(t => t.Fork()));
            else
                tables.AddRange(schema.Tables.Select(t => new EmbeddingTable(t)));
            pace.Rest();
            for (; next < chain.Count; next++)
            {
                var link = chain[next];
                if (link.SchemaFingerprint != manifest.SchemaFingerprint)
                    throw new ContractException("manifest.schema_fingerprint", $"of version {link.Version} is not that of version {manifest.Version}, which builds on it");
                var applied = repository.ReadVerified(link, StudentSignature.RowsFile, s => RowsFile.Apply(s, tables, requireFinite: true, pace.Rest));
                var whole = schema.Tables.Sum(t => (long)t.Rows);
                if (link.Kind == VersionKind.Base && applied != whole)
                    throw new ContractException(StudentSignature.RowsFile, $"of base {link.Version} holds {applied} of {whole} rows");
            }
            return tables;
        }
        catch
        {
            foreach (var table in tables)
                table.Dispose();
            throw;
        }
    }

    // Numbers begin again when a repository is made anew: a link is the version held only if its rows are the same file.
    private static int IndexOf(IReadOnlyList<VersionManifest> chain, VersionManifest held)
    {
        for (var i = chain.Count - 1; i >= 0; i--)
        {
            if (chain[i].Version == held.Version && chain[i].CreatedAtMs == held.CreatedAtMs
                && chain[i].Files.GetValueOrDefault(StudentSignature.RowsFile) == held.Files.GetValueOrDefault(StudentSignature.RowsFile))
                return i;
        }
        return -1;
    }
}

/// <summary>A version that is not put into service, and why.</summary>
/// <param name="isFinal">Trying again can not help: the files themselves are wrong.</param>
public sealed class VersionRefusedException(long version, string reason, bool isFinal, Exception? inner) : Exception(reason, inner)
{
    public long Version { get; } = version;

    public bool IsFinal { get; } = isFinal;
}
