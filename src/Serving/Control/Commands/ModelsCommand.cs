using System.CommandLine;
using Grpc.Core;
using KdServing.Contracts;

namespace KdServing.Serving.Control.Commands;

/// <summary><c>kd models</c>: looks into a model repository or a running server, and tells either which version to serve.</summary>
public static class ModelsCommand
{
    private const int Failed = 1;
    private const int Misused = 2;

    public static Command Create()
    {
        var command = new Command("models", "Looks into a model repository (--repository) or a running server (--control), and tells it which version to serve.");
        var where = new Where(command);
        var version = new Argument<long>("version") { Description = "Version number." };
        var reason = new Option<string>("--reason") { Description = "Why, for whoever looks later.", DefaultValueFactory = _ => "" };

        command.Add(Verb("list", "Lists the versions, oldest first, and what became of them.", [], r => where.Choose(r,
            repository => RepositoryVersions.List(Output(r), repository, r.GetValue(where.Model)), server => server.List(Output(r)))));

        var shown = new Argument<long?>("version") { Description = "Version number; left out: the newest, of a server the one in service.", Arity = ArgumentArity.ZeroOrOne };
        var shownOption = new Option<long?>("--version") { Description = "The same." };
        command.Add(Verb("show", "Shows what a version is, what it has learned from, and (of a repository) verifies its files.", [shown, shownOption], r => where.Choose(r,
            repository => RepositoryVersions.Show(Output(r), repository, where.RequireModel(r), r.GetValue(shown) ?? r.GetValue(shownOption)),
            server => server.Show(Output(r), r.GetValue(shown) ?? r.GetValue(shownOption) ?? 0))));

        command.Add(Verb("pin", "Serves one version until 'unpin', over restarts. With --repository: every server that reads it, unless it has a pin of its own.",
            [version, reason], r => where.Choose(r,
                repository => RepositoryVersions.Pin(Output(r), repository, where.RequireModel(r), r.GetValue(version), r.GetRequiredValue(reason)),
                server => server.Pin(Output(r), r.GetValue(version)))));

        command.Add(Verb("unpin", "Back to the newest good version.", [], r => where.Choose(r,
            repository => RepositoryVersions.Unpin(Output(r), repository, where.RequireModel(r)), server => server.Unpin(Output(r)))));

        command.Add(Verb("rollback", "Back to the version before, which a server keeps warm, and pins it. The version left is not taken again.", [reason], r => where.Choose(r,
            repository => RepositoryVersions.Rollback(Output(r), repository, where.RequireModel(r), r.GetRequiredValue(reason)),
            server => server.Rollback(Output(r), r.GetRequiredValue(reason)))));

        var release = new Option<bool>("--release") { Description = "Ends the hold." };
        command.Add(Verb("hold", "No automatic swaps until 'hold --release'.", [release, reason], r => where.Choose(r,
            repository => RepositoryVersions.Hold(Output(r), repository, where.RequireModel(r), r.GetValue(release), r.GetRequiredValue(reason)),
            server => server.Hold(Output(r), r.GetValue(release), r.GetRequiredValue(reason)))));

        var from = new Argument<long>("from") { Description = "The older version." };
        var to = new Argument<long>("to") { Description = "The newer version." };
        command.Add(Verb("diff", "How two versions differ: manifest, metrics, weights, rows.", [from, to], r => where.Choose(r,
            repository => RepositoryVersions.Diff(Output(r), repository, where.RequireModel(r), r.GetValue(from), r.GetValue(to)),
            server => server.Diff(Output(r), r.GetValue(from), r.GetValue(to)))));

        command.Add(CanaryVerb(where));
        command.Add(SigningCommands.KeyGeneration());
        command.Add(SigningCommands.Sign(where.RepositoryFolder, where.Model));
        command.Add(SigningCommands.Verify(where.RepositoryFolder, where.Model));
        return command;
    }

    private static Command CanaryVerb(Where where)
    {
        var version = new Argument<long?>("version") { Description = "Version that becomes the canary; left out with --end or --promote.", Arity = ArgumentArity.ZeroOrOne };
        var share = new Option<double>("--share") { Description = "Share of the requests it answers, by hash of their id, 0 to 1.", DefaultValueFactory = _ => 0.05 };
        var shadow = new Option<double>("--shadow") { Description = "Share of the requests it also scores beside the requests' path, to compare orders, 0 to 1.", DefaultValueFactory = _ => 0 };
        var seconds = new Option<double>("--seconds") { Description = "Put it into service after so many seconds without trouble; 0: a person decides.", DefaultValueFactory = _ => 0 };
        var end = new Option<bool>("--end") { Description = "Ends the canary." };
        var promote = new Option<bool>("--promote") { Description = "Puts the canary into service." };
        return Verb("canary", "Gives a version a share of a server's requests beside the one in service.", [version, share, shadow, seconds, end, promote], r =>
        {
            if ((r.GetValue(version) is null ? 0 : 1) + (r.GetValue(end) ? 1 : 0) + (r.GetValue(promote) ? 1 : 0) != 1)
                throw new UsageException("VERSION, --end or --promote: one of them is needed, and only one");
            return where.Server(r).Canary(Output(r), new()
            {
                Version = r.GetValue(version) ?? 0,
                Share = r.GetValue(share),
                ShadowShare = r.GetValue(shadow),
                Seconds = r.GetValue(seconds),
                Promote = r.GetValue(promote),
            });
        });
    }

    internal static Command Verb(string name, string description, IEnumerable<Symbol> symbols, Func<ParseResult, bool> action)
    {
        var command = new Command(name, description);
        foreach (var symbol in symbols)
        {
            if (symbol is Argument argument)
                command.Add(argument);
            else
                command.Add((Option)symbol);
        }
        command.SetAction(r => Run(r, action));
        return command;
    }

    internal static int Run(ParseResult result, Func<ParseResult, bool> action)
    {
        var error = result.InvocationConfiguration.Error;
        try
        {
            return action(result) ? 0 : Failed;
        }
        catch (UsageException e)
        {
            error.WriteLine(e.Message);
            return Misused;
        }
        catch (RpcException e)
        {
            error.WriteLine(e.StatusCode switch
            {
                StatusCode.Unavailable when e.Status.DebugException is not null => $"no server answers there: {e.Status.Detail}",
                _ => e.Status.Detail,
            });
            return Failed;
        }
        catch (Exception e) when (e is ContractException or IOException or UnauthorizedAccessException)
        {
            error.WriteLine(e.Message);
            return Failed;
        }
    }

    private static TextWriter Output(ParseResult result) => result.InvocationConfiguration.Output;
}

/// <summary>A command line that does not make sense.</summary>
internal sealed class UsageException(string message) : Exception(message);
