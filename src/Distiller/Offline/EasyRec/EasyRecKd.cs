using System.Globalization;
using System.Text.Json.Nodes;
using KdServing.Distiller.Losses;

namespace KdServing.Distiller.Offline.EasyRec;

/// <summary>EasyRec's message KD and its inner blocks: names and types of their fields (easy_rec_model.proto, loss.proto).</summary>
internal static class EasyRecKd
{
    private enum Kind
    {
        Text,
        Number,
        Flag,
        Enum,
    }

    private static readonly Dictionary<string, Kind> Fields = new()
    {
        ["loss_name"] = Kind.Text,
        ["pred_name"] = Kind.Text,
        ["pred_is_logits"] = Kind.Flag,
        ["soft_label_name"] = Kind.Text,
        ["label_is_logits"] = Kind.Flag,
        ["loss_type"] = Kind.Enum,
        ["loss_weight"] = Kind.Number,
        ["temperature"] = Kind.Number,
        ["task_space_indicator_name"] = Kind.Text,
        ["task_space_indicator_value"] = Kind.Text,
        ["in_task_space_weight"] = Kind.Number,
        ["out_task_space_weight"] = Kind.Number,
    };

    private static readonly Dictionary<string, Dictionary<string, Kind>> Blocks = new()
    {
        ["f1_reweighted_loss"] = Block("f1_beta_square label_smoothing"),
        ["binary_focal_loss"] = Block("gamma alpha ohem_ratio label_smoothing"),
        ["pairwise_loss"] = Block("margin session_name temperature"),
        ["pairwise_focal_loss"] = Block("gamma alpha hinge_margin session_name ohem_ratio temperature"),
        ["pairwise_logistic_loss"] = Block("temperature session_name hinge_margin ohem_ratio use_label_margin"),
        ["jrc_loss"] = Block("session_name alpha same_label_loss loss_weight_strategy"),
        ["pairwise_hinge_loss"] = Block("temperature session_name margin ohem_ratio label_is_logits use_label_margin use_exponent"),
        ["listwise_rank_loss"] = Block("temperature session_name label_is_logits transform_fn scale_logits"),
        ["listwise_distill_loss"] = Block("temperature session_name label_clip_max_value transform_fn scale_logits"),
    };

    // EasyRec lets them be written, and its kd refuses every loss that would read them.
    private static readonly string[] Ineffective = ["softmax_loss", "circle_loss", "multi_simi_loss"];

    /// <summary>One <c>kd</c> block as an entry of our list, field for field.</summary>
    /// <param name="note">Receives what the reader of the result should know.</param>
    /// <exception cref="TextFormatException">An unknown field, a wrong kind of value, or a missing one.</exception>
    public static JsonObject Entry(TextField kd, Action<TextPosition, string> note)
    {
        var message = kd.Message ?? throw new TextFormatException(kd.Position, "kd must be a message: kd { … }");
        var entry = new JsonObject();
        foreach (var field in message.Fields)
        {
            if (field.Name == TextFormatParser.Omission)
                note(field.Position, "something of this kd block is left out ('...')");
            else if (Ineffective.Contains(field.Name))
                note(field.Position, $"{field.Name} is left out: EasyRec's kd can not use it");
            else if (Blocks.TryGetValue(field.Name, out var inner))
                Add(entry, field, Inner(field, inner, note));
            else
                Add(entry, field, Value(field, Kinds(field, Fields, "kd", Blocks.Keys)));
        }
        foreach (var required in (string[])["pred_name", "soft_label_name", "loss_type"])
        {
            if (!entry.ContainsKey(required))
                throw new TextFormatException(kd.Position, $"this kd block lacks {required}");
        }
        var type = entry["loss_type"]!.GetValue<string>();
        if (!LossCatalogue.Names.Contains(type))
            throw new TextFormatException(message.Named("loss_type").First().Position, $"'{type}' can not be used in kd; one of {string.Join(", ", LossCatalogue.Names)}");
        return entry;
    }

    private static JsonObject Inner(TextField field, Dictionary<string, Kind> kinds, Action<TextPosition, string> note)
    {
        var block = new JsonObject();
        foreach (var inner in (field.Message ?? throw new TextFormatException(field.Position, $"{field.Name} must be a message: {field.Name} {{ … }}")).Fields)
        {
            if (inner.Name == TextFormatParser.Omission)
                note(inner.Position, $"something of {field.Name} is left out ('...')");
            else
                Add(block, inner, Value(inner, Kinds(inner, kinds, field.Name, [])));
        }
        return block;
    }

    private static void Add(JsonObject into, TextField field, JsonNode value)
    {
        if (!into.TryAdd(field.Name, value))
            throw new TextFormatException(field.Position, $"{field.Name} stands twice");
    }

    private static Kind Kinds(TextField field, Dictionary<string, Kind> kinds, string of, IEnumerable<string> blocks) => kinds.TryGetValue(field.Name, out var kind)
        ? kind
        : throw new TextFormatException(field.Position, $"'{field.Name}' is no field of {of}; one of {string.Join(", ", kinds.Keys.Concat(blocks))}");

    private static JsonValue Value(TextField field, Kind kind)
    {
        var scalar = field.Scalar ?? throw new TextFormatException(field.Position, $"{field.Name} must be {Expected(kind)}, not a message");
        return (kind, scalar.Kind) switch
        {
            (Kind.Text, TextScalarKind.Text) => JsonValue.Create(scalar.Text),
            (Kind.Enum, TextScalarKind.Word) => JsonValue.Create(scalar.Text),
            (Kind.Flag, not TextScalarKind.Text) when scalar.Text is "true" or "True" or "t" or "1" => JsonValue.Create(true),
            (Kind.Flag, not TextScalarKind.Text) when scalar.Text is "false" or "False" or "f" or "0" => JsonValue.Create(false),
            (Kind.Number, TextScalarKind.Number) when Number(scalar.Text) is { } number => number,
            _ => throw new TextFormatException(scalar.Position, $"{field.Name} must be {Expected(kind)}, not {(scalar.Kind == TextScalarKind.Text ? $"\"{scalar.Text}\"" : scalar.Text)}"),
        };
    }

    // A whole number stays whole in the JSON.
    private static JsonValue? Number(string text)
    {
        var digits = text.EndsWith('f') || text.EndsWith('F') ? text[..^1] : text;
        if (long.TryParse(digits, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var whole))
            return JsonValue.Create(whole);
        return double.TryParse(digits, NumberStyles.Float, CultureInfo.InvariantCulture, out var value) && double.IsFinite(value) ? JsonValue.Create(value) : null;
    }

    private static string Expected(Kind kind) => kind switch
    {
        Kind.Text => "a string in quotes",
        Kind.Number => "a number",
        Kind.Flag => "true or false",
        _ => "the name of an enum",
    };

    private static Dictionary<string, Kind> Block(string fields) => fields.Split(' ').ToDictionary(f => f, f => f switch
    {
        "session_name" or "transform_fn" or "loss_weight_strategy" => Kind.Text,
        "label_is_logits" or "scale_logits" or "use_label_margin" or "use_exponent" or "same_label_loss" => Kind.Flag,
        _ => Kind.Number,
    });
}
