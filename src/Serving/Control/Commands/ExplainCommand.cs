using System.CommandLine;
using KdServing.Contracts;
using StackExchange.Redis;

namespace KdServing.Serving.Control.Commands;

/// <summary><c>kd explain REQUEST_ID</c>: what a request was scored with, and what the teacher said of it.</summary>
public static class ExplainCommand
{
    private const int ShownRows = 8;

    public static Command Create()
    {
        var command = new Command("explain", "Tells of a request sampled by a server: version, features as hashed, the student's logits and ranks and, with --redis, the teacher's.");
        var where = new Where(command);
        var id = new Argument<string?>("request-id") { Description = "Id of the request; left out: lists the ids sampled.", Arity = ArgumentArity.ZeroOrOne };
        var topK = new Option<int>("--top-k") { Description = "Candidates to show, best first.", DefaultValueFactory = _ => 10 };
        var redis = new Option<string?>("--redis") { Description = "HOST:PORT of the Redis with the teacher's records; left out: the student only." };
        command.Add(id);
        command.Add(topK);
        command.Add(redis);
        command.SetAction(r => ModelsCommand.Run(r, _ =>
        {
            var server = where.Server(r);
            var output = r.InvocationConfiguration.Output;
            var explanation = server.Explain(r.GetValue(id) ?? "", r.GetValue(topK));
            if (explanation.RequestId.Length == 0)
            {
                output.WriteLine(explanation.SampledIds.Count == 0 ? "no request with an id has been sampled yet" : string.Join('\n', explanation.SampledIds));
                return true;
            }
            var teacher = r.GetValue(redis) is { } endpoint ? Teacher(endpoint, server.ModelName(), explanation) : null;
            Write(output, explanation, teacher, r.GetValue(redis) is not null);
            return true;
        }));
        return command;
    }

    private static TeacherVerdict? Teacher(string endpoint, string model, Explanation explanation)
    {
        try
        {
            using var connection = ConnectionMultiplexer.Connect($"{endpoint},connectTimeout=2000,syncTimeout=10000");
            var verdict = TeacherVerdict.Find(connection.GetDatabase(), model, explanation.RequestId, explanation.AnsweredAtMs);
            connection.Close(allowCommandsToComplete: false);
            return verdict;
        }
        catch (Exception e) when (e is RedisException or ArgumentException or TimeoutException)
        {
            throw new ContractException("--redis", $"{endpoint} does not answer: {e.Message.Split('\n', 2)[0]}");
        }
    }

    private static void Write(TextWriter output, Explanation explanation, TeacherVerdict? teacher, bool asked)
    {
        output.WriteLine($"request {explanation.RequestId}: answered {VersionText.Time(explanation.AnsweredAtMs)} UTC by version {explanation.Version}"
            + (explanation.WatermarkMs == 0 ? "" : $", which had learned up to {VersionText.Time(explanation.WatermarkMs)} UTC in event time"));
        if (teacher is not null)
            output.WriteLine($"teacher {teacher.Name} version {teacher.Version}, target {teacher.Target}");
        else if (asked)
            output.WriteLine("the teacher's record of this request is not in the stream (not sent, not yet, or trimmed)");
        output.WriteLine("user features:");
        foreach (var feature in explanation.User)
            output.WriteLine($"  {Text(feature)}");
        foreach (var candidate in explanation.Candidates)
        {
            var teachers = teacher?.Of(candidate.Index) is { } said
                ? FormattableString.Invariant($"; teacher's logit {said.Logit:F4}, rank {said.Rank}") : "";
            output.WriteLine($"candidate {candidate.Index}, rank {candidate.Rank}: {string.Join(", ", explanation.Targets.Zip(candidate.Logits, (t, l) => FormattableString.Invariant($"{t} logit {l:F4}")))}{teachers}");
            foreach (var feature in candidate.Features)
                output.WriteLine($"  {Text(feature)}");
        }
    }

    private static string Text(HashedFeature feature) => feature.Table.Length == 0
        ? FormattableString.Invariant($"{feature.Feature,-20} {feature.Value:G6} (normalised)")
        : $"{feature.Feature,-20} {feature.Table} row {(feature.Rows.Count == 0 ? "none" : string.Join(", ", feature.Rows.Take(ShownRows)))}{(feature.Rows.Count > ShownRows ? ", …" : "")}";
}
