using System.Text.Json;
using System.Text.Json.Serialization;
using KdServing.Contracts;

namespace KdServing.Distiller.Students;

public enum StudentFamily
{
    /// <summary>COLD-like: a perceptron over user, item and live features.</summary>
    Mlp,

    /// <summary>DSSM-like: an inner product of a user and an item vector, live features beside it.</summary>
    TwoTower,
}

/// <summary><c>student.json</c>: the shape of the dense part; the schema says what enters it.</summary>
/// <remarks>
/// <code>
/// { "family": "mlp", "first_layer": 64, "hidden": [32] }
/// { "family": "two_tower", "user_tower": [64, 32], "item_tower": [64, 32], "live_net": [16] }
/// </code>
/// </remarks>
public sealed record StudentConfig
{
    private const int MaxWidth = 4096;
    private const int MaxLayers = 8;

    public StudentFamily? Family { get; init; }

    /// <summary>mlp: width of the first layer, which is also that of the user part and of an item vector.</summary>
    public int? FirstLayer { get; init; }

    /// <summary>mlp: widths of the layers after the first; may be empty.</summary>
    public IReadOnlyList<int>? Hidden { get; init; }

    /// <summary>two_tower: widths of the user's layers; the last one is the dimension of the product.</summary>
    public IReadOnlyList<int>? UserTower { get; init; }

    /// <summary>two_tower: widths of the item's layers; the last equals the user's last.</summary>
    public IReadOnlyList<int>? ItemTower { get; init; }

    /// <summary>two_tower: hidden widths of the network over live and cross features; may be empty.</summary>
    public IReadOnlyList<int>? LiveNet { get; init; }

    /// <summary>Where the logits begin: the log-odds of a click, if known. Spares the first minutes of learning a constant.</summary>
    public float InitialLogit { get; init; }

    /// <summary>Width of <see cref="Student.Lower"/>'s output.</summary>
    [JsonIgnore]
    public int LowerWidth => Family == StudentFamily.Mlp ? FirstLayer!.Value : UserTower![^1];

    /// <summary>Width of <see cref="StudentOutput.Hidden"/>.</summary>
    [JsonIgnore]
    public int HiddenWidth => Hidden is { Count: > 0 } ? Hidden[^1] : LowerWidth;

    /// <exception cref="ContractException">Names the field and what it must be.</exception>
    public static StudentConfig Parse(string json)
    {
        StudentConfig config;
        try
        {
            config = JsonSerializer.Deserialize<StudentConfig>(json, ContractJson.Options)
                ?? throw new ContractException("student", "is empty");
        }
        catch (JsonException e)
        {
            throw new ContractException("student", $"is not valid: {e.Message}");
        }
        config.Require();
        return config;
    }

    private void Require()
    {
        if (!float.IsFinite(InitialLogit) || MathF.Abs(InitialLogit) > 20)
            throw new ContractException("initial_logit", "must lie between -20 and 20");
        switch (Family)
        {
            case StudentFamily.Mlp:
                if (FirstLayer is not (>= 1 and <= MaxWidth))
                    throw new ContractException("first_layer", $"must be a whole number from 1 to {MaxWidth} for family mlp");
                RequireWidths(Hidden ?? [], "hidden");
                Refuse(UserTower, "user_tower");
                Refuse(ItemTower, "item_tower");
                Refuse(LiveNet, "live_net");
                break;
            case StudentFamily.TwoTower:
                if (UserTower is not { Count: > 0 } || ItemTower is not { Count: > 0 })
                    throw new ContractException("user_tower", "and item_tower must list at least one width for family two_tower");
                RequireWidths(UserTower, "user_tower");
                RequireWidths(ItemTower, "item_tower");
                RequireWidths(LiveNet ?? [], "live_net");
                if (UserTower[^1] != ItemTower[^1])
                    throw new ContractException("item_tower", $"must end in the width of user_tower ({UserTower[^1]}), not {ItemTower[^1]}");
                Refuse(Hidden, "hidden");
                Refuse(FirstLayer, "first_layer");
                break;
            default:
                throw new ContractException("family", "is missing; one of mlp, two_tower");
        }
    }

    private static void RequireWidths(IReadOnlyList<int> widths, string field)
    {
        if (widths.Count > MaxLayers)
            throw new ContractException(field, $"lists {widths.Count} layers; at most {MaxLayers}");
        for (var i = 0; i < widths.Count; i++)
        {
            if (widths[i] is < 1 or > MaxWidth)
                throw new ContractException($"{field}[{i}]", $"must be from 1 to {MaxWidth}");
        }
    }

    private void Refuse(object? value, string field)
    {
        if (value is not null)
            throw new ContractException(field, $"has no meaning for family {(Family == StudentFamily.Mlp ? "mlp" : "two_tower")}; remove it");
    }
}
