using System.CommandLine;
using Grpc.Core;
using Grpc.Net.Client;
using KdServing.Contracts;

namespace KdServing.Serving.Control.Commands;

/// <summary>The options that say what a command is about: a repository's folder, or a server's control listener.</summary>
internal sealed class Where
{
    private readonly Option<string?> control = new("--control") { Description = "Control listener of a server, HOST:PORT ('kd serve --control-port').", Recursive = true };
    private readonly Option<string?> token = new("--token-file") { Description = "File with the server's control token; left out: none is sent.", Recursive = true };

    /// <param name="command">Its verbs get the options.</param>
    public Where(Command command)
    {
        command.Add(RepositoryFolder);
        command.Add(Model);
        command.Add(control);
        command.Add(token);
    }

    public Option<string?> RepositoryFolder { get; } = new("--repository") { Description = "Folder of a model repository.", Recursive = true };

    public Option<string?> Model { get; } = new("--model") { Description = "Name of the model, with --repository; may be left out when there is only one.", Recursive = true };

    /// <exception cref="UsageException">Neither or both are given.</exception>
    public bool Choose(ParseResult result, Func<ModelRepository, bool> repository, Func<ServerVersionsClient, bool> server)
    {
        if (result.GetValue(RepositoryFolder) is null == (result.GetValue(control) is null))
            throw new UsageException("--repository FOLDER or --control HOST:PORT: one of the two is needed");
        return result.GetValue(control) is null ? repository(Repository(result)) : server(Server(result));
    }

    /// <exception cref="ContractException">There is no such folder.</exception>
    /// <exception cref="UsageException">Not given.</exception>
    public ModelRepository Repository(ParseResult result) => RepositoryVersions.Open(result.GetValue(RepositoryFolder) ?? throw new UsageException("--repository FOLDER is needed"));

    /// <exception cref="UsageException">Not given, or not HOST:PORT.</exception>
    public ServerVersionsClient Server(ParseResult result)
    {
        var endpoint = result.GetValue(control) ?? throw new UsageException("--control HOST:PORT is needed: this is a command to a server");
        if (!Uri.TryCreate($"http://{endpoint}", UriKind.Absolute, out var address) || address.IsDefaultPort || address.PathAndQuery != "/")
            throw new UsageException($"--control: '{endpoint}' is not HOST:PORT");
        var headers = new Metadata();
        if (result.GetValue(token) is { } file)
            headers.Add("authorization", $"Bearer {ControlAccess.ReadToken(file)}");
        return new(new(GrpcChannel.ForAddress(address)), headers);
    }

    /// <exception cref="ContractException">Not given, and the repository holds none or several.</exception>
    public string RequireModel(ParseResult result)
    {
        if (result.GetValue(Model) is { } model)
            return model;
        var models = RepositoryVersions.Models(Repository(result));
        return models.Count == 1 ? models[0]
            : throw new ContractException("--model", models.Count == 0 ? "is needed: the repository holds no model" : $"is needed: the repository holds {string.Join(", ", models)}");
    }
}
