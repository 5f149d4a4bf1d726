using System.CommandLine;
using Grpc.Net.Client;
using KdServing.Contracts;
using KdServing.Datasets;

namespace KdServing.LoadTests.Traffic;

/// <summary>The options that every traffic command shares: whom to ask, and what for.</summary>
internal sealed class TrafficTarget
{
    private readonly Option<Uri> _address = new("--address")
    {
        Description = "Where Serving listens.",
        DefaultValueFactory = _ => new Uri("http://127.0.0.1:8500"),
        CustomParser = result => Uri.TryCreate(result.Tokens[0].Value, UriKind.Absolute, out var address) && address.Scheme is "http" or "https"
            ? address
            : Refuse(result, $"--address '{result.Tokens[0].Value}' must look like http://host:port"),
    };

    private readonly Option<string> _data = new("--data")
    {
        Description = "Folder of a dataset with a sample of its name, or with a dataset.json inside; or 'synthetic'.",
        DefaultValueFactory = _ => "synthetic",
    };

    private readonly Option<string?> _schema = new("--schema") { Description = "Instead of data: random values for this schema.json, e.g. that of a version's folder." };
    private readonly Option<string?> _samples = new("--samples") { Description = "Folder of the samples. Default: found above the current folder." };
    private readonly Option<string> _model = new("--model") { Description = "Model to ask for. Default: the server's only one.", DefaultValueFactory = _ => "" };
    private readonly Option<int> _candidates = new("--candidates") { Description = "Candidates a request.", DefaultValueFactory = _ => 500 };
    private readonly Option<double> _recordsPerSecond = new("--records-per-second")
    {
        Description = "Speed of the replay clock: impressions of the replay a second; give the teacher's rate.",
        DefaultValueFactory = _ => 500,
    };

    private readonly Option<long?> _fromEventTime = new("--from-event-time") { Description = "Event time to start at, milliseconds since the Unix epoch. Default: the start of the replay." };
    private readonly Option<Arrivals> _arrivals = new("--arrivals") { Description = "Spacing of the requests.", DefaultValueFactory = _ => Arrivals.Poisson };
    private readonly Option<int> _inFlight = new("--in-flight") { Description = "Requests under way at most; what exceeds it counts as an error.", DefaultValueFactory = _ => 512 };
    private readonly Option<int> _deadline = new("--deadline-ms") { Description = "Deadline of a request.", DefaultValueFactory = _ => 5000 };
    private readonly Option<bool> _allowRollback = new("--allow-rollback") { Description = "A reply by an older version than one seen before is right." };
    private readonly Option<int> _seed = new("--seed") { Description = "Seed of candidates and arrivals.", DefaultValueFactory = _ => 1 };

    public TrafficTarget()
    {
        AtLeast(_candidates, 1);
        AtLeast(_inFlight, 1);
        AtLeast(_deadline, 1);
        _recordsPerSecond.Validators.Add(r =>
        {
            if (!(r.GetValueOrDefault<double>() >= 0))
                r.AddError("--records-per-second must not be negative");
        });
    }

    public void AddTo(Command command)
    {
        foreach (var option in new Option[] { _address, _data, _schema, _samples, _model, _candidates, _recordsPerSecond, _fromEventTime, _arrivals, _inFlight, _deadline, _allowRollback, _seed })
            command.Add(option);
    }

    public Uri Address(ParseResult parsed) => parsed.GetValue(_address)!;

    public int Candidates(ParseResult parsed) => parsed.GetValue(_candidates);

    /// <param name="inFlight">Requests under way at most if the user does not say; null: the option's default.</param>
    public TrafficOptions Traffic(ParseResult parsed, int? inFlight = null) => new()
    {
        Arrivals = parsed.GetValue(_arrivals),
        InFlightMax = parsed.GetResult(_inFlight) is { Implicit: false } || inFlight is null ? parsed.GetValue(_inFlight) : inFlight.Value,
        DeadlineMs = parsed.GetValue(_deadline),
        AllowRollback = parsed.GetValue(_allowRollback),
        Seed = parsed.GetValue(_seed),
    };

    /// <summary>Opens the data; requests carry the fingerprint of the sample's schema.json, so that a skew is refused by the server.</summary>
    public RankingRequests Requests(ParseResult parsed)
    {
        var schema = Schema(parsed);
        var options = new RequestOptions
        {
            Candidates = parsed.GetValue(_candidates),
            Model = parsed.GetValue(_model)!,
            SchemaFingerprint = schema.Fingerprint,
            RecordsPerSecond = parsed.GetValue(_recordsPerSecond),
            FromEventTimeMs = parsed.GetValue(_fromEventTime),
            Seed = parsed.GetValue(_seed),
        };
        if (parsed.GetValue(_schema) is null)
            return RankingRequests.Open(Reader(parsed), options);
        var random = new RandomRequests(schema, options);
        return new(_ => random.Next(), () => 0);
    }

    /// <summary>The schema given, or that of the sample that describes the data.</summary>
    public FeatureSchema Schema(ParseResult parsed) =>
        FeatureSchema.Load(parsed.GetValue(_schema) ?? Path.Combine(Reader(parsed).SamplePath, "schema.json"));

    public static GrpcChannel Channel(Uri address) => GrpcChannel.ForAddress(address);

    public static void AtLeast(Option<int> option, int least) =>
        option.Validators.Add(r =>
        {
            if (r.GetValueOrDefault<int>() < least)
                r.AddError($"{option.Name} must be at least {least}");
        });

    private DatasetReader Reader(ParseResult parsed) => DatasetReader.Open(parsed.GetValue(_data)!, parsed.GetValue(_samples) ?? SampleCatalog.FindRoot());

    private static Uri? Refuse(System.CommandLine.Parsing.ArgumentResult result, string message)
    {
        result.AddError(message);
        return null;
    }
}
