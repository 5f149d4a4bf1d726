using System.Text.Json.Nodes;

namespace KdServing.Distiller.Offline.EasyRec;

/// <summary>What an EasyRec <c>pipeline.config</c> says about distillation, as our configuration, and what of it was not imported.</summary>
/// <param name="Json">distiller.json: <c>model</c> and the <c>kd</c> list, field for field.</param>
/// <param name="Notes">What the reader should look at, each with its place.</param>
/// <param name="NotImported">Parts without a counterpart here: name, how often, where first.</param>
public sealed record EasyRecImport(JsonObject Json, IReadOnlyList<string> Notes, IReadOnlyList<(string Name, int Count, TextPosition First)> NotImported)
{
    // kd-reference §1.5: their loss builders never look at kd.
    private static readonly HashSet<string> IgnoringModels = ["ESMM", "DropoutNet", "CoMetricLearningI2I", "RocketLaunching"];

    /// <param name="text">A whole pipeline config, a model_config, or bare kd blocks.</param>
    /// <param name="model">Name of our model; null: the last part of <c>model_dir</c>, or <c>easyrec</c>.</param>
    /// <param name="trainTarget">Null: names stay as they are. Else names become those that training here knows: one session a record,
    /// soft labels <c>NAME/<paramref name="trainTarget"/></c>.</param>
    /// <exception cref="TextFormatException">The text breaks a rule, or a kd block has an unknown field or a wrong value.</exception>
    public static EasyRecImport Of(string text, string? model = null, string? trainTarget = null)
    {
        var root = TextFormatParser.Parse(text);
        var notes = new List<(TextPosition Position, string Text)>();
        var unknown = new Dictionary<string, (int Count, TextPosition First)>();
        var entries = new JsonArray();
        var blocks = new List<TextField>();
        foreach (var field in root.Fields)
        {
            if (field.Name == "kd")
                Entry(field);
            else if (field is { Name: "model_config", Message: { } inner })
                ModelConfig(inner);
            else if (field.Name != TextFormatParser.Omission)
                NoteUnknown(field.Name, field);
        }
        if (entries.Count == 0)
            throw new TextFormatException(new(1, 1), "there is no kd block, neither in model_config nor at the top; there is nothing to import");
        CheckLabels(root, entries, Note);
        CheckNames(blocks, entries, Note);
        if (trainTarget is not null)
            Rename(entries, trainTarget);
        var json = new JsonObject { ["model"] = model ?? ModelName(root), ["kd"] = entries };
        return new(json, [.. notes.OrderBy(n => (n.Position.Line, n.Position.Column)).Select(n => $"{n.Position}: {n.Text}")],
            [.. unknown.Select(u => (u.Key, u.Value.Count, u.Value.First))]);

        void ModelConfig(TextMessage config)
        {
            foreach (var field in config.Fields)
            {
                if (field.Name == "kd")
                    Entry(field);
                else if (field.Name == "model_class" && field.Scalar is { } name && IgnoringModels.Contains(name.Text))
                    Note(field.Position, $"EasyRec's {name.Text} ignores kd; here it takes effect");
                else if (field.Name is not ("model_class" or TextFormatParser.Omission))
                    NoteUnknown($"model_config.{field.Name}", field);
            }
        }

        void Entry(TextField kd)
        {
            entries.Add(EasyRecKd.Entry(kd, Note));
            blocks.Add(kd);
        }

        void Note(TextPosition position, string what) => notes.Add((position, what));

        void NoteUnknown(string name, TextField field)
        {
            var known = unknown.TryGetValue(name, out var seen);
            unknown[name] = known ? (seen.Count + 1, seen.First) : (1, field.Position);
        }
    }

    private static string ModelName(TextMessage root)
    {
        var folder = root.Named("model_dir").FirstOrDefault()?.Scalar?.Text.TrimEnd('/');
        var last = new string([.. (folder ?? "").Split('/')[^1].Where(c => char.IsAsciiLetterOrDigit(c) || c is '_' or '-')]);
        return last.Length > 0 && char.IsAsciiLetter(last[0]) ? last : "easyrec";
    }

    private static void CheckLabels(TextMessage root, JsonArray entries, Action<TextPosition, string> note)
    {
        var labels = root.Named("data_config").Select(d => d.Message).OfType<TextMessage>()
            .SelectMany(d => d.Named("label_fields")).ToList();
        foreach (var name in labels.Count == 0 ? [] : Texts(entries, "soft_label_name").Distinct())
        {
            if (!labels.Any(l => l.Scalar?.Text == name))
                note(labels[0].Position, $"soft label '{name}' is not among data_config.label_fields; EasyRec would fail at the first batch");
        }
    }

    private static void CheckNames(List<TextField> blocks, JsonArray entries, Action<TextPosition, string> note)
    {
        var names = entries.Select(e => (string?)e!["loss_name"] ?? $"kd_loss_{e["pred_name"]}_{e["soft_label_name"]}".Replace('/', '_')).ToList();
        for (var i = 0; i < names.Count; i++)
        {
            var (name, number) = (names[i], 2);
            if (names.IndexOf(name) == i)
                continue;
            while (names.Contains($"{name}_{number}"))
                number++;
            entries[i]!["loss_name"] = names[i] = $"{name}_{number}";
            note(blocks[i].Position, $"the loss name '{name}' is taken, and EasyRec would silently keep the last block of that name alone; this one is now '{names[i]}'");
        }
        foreach (var (entry, index) in entries.Select((e, i) => (e!, i)))
        {
            if ((string?)entry["loss_type"] is "CROSS_ENTROPY_LOSS")
                note(blocks[index].Position, "EasyRec's CROSS_ENTROPY_LOSS is not a cross entropy of a binary prediction; ours is, and \"easyrec_compat\": true gives theirs");
        }
    }

    private static void Rename(JsonArray entries, string target)
    {
        foreach (var entry in entries)
        {
            entry!["soft_label_name"] = $"{entry["soft_label_name"]}/{target}";
            foreach (var block in entry.AsObject().Select(p => p.Value).OfType<JsonObject>().Where(b => b.ContainsKey("session_name")))
                block["session_name"] = Losses.ListwiseLoss.TrainingSession;
        }
    }

    private static IEnumerable<string> Texts(JsonArray entries, string name) => entries.Select(e => e![name]!.GetValue<string>());
}
