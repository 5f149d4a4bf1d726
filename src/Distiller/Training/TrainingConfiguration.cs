using System.Security.Cryptography;
using System.Text.Json;
using KdServing.Contracts;
using KdServing.Distiller.Students;

namespace KdServing.Distiller.Training;

/// <summary>What decides how a batch changes the weights, as one hash: a journal is followed only under the configuration it was written in.</summary>
public static class TrainingConfiguration
{
    /// <summary>16 hex digits over schema, student, losses, optimisers and seed; not over when batches, versions and checkpoints are made.</summary>
    public static string Hash(FeatureSchema schema, StudentConfig student, DistillerConfig config)
    {
        var timing = new DistillerConfig();
        var decisive = config with
        {
            BatchRecords = timing.BatchRecords,
            IdleSeconds = timing.IdleSeconds,
            Shards = timing.Shards,
            Refresh = timing.Refresh,
            Gate = timing.Gate with { Window = config.Gate.Window },
            Checkpoint = timing.Checkpoint,
        };
        byte[] json = [.. JsonSerializer.SerializeToUtf8Bytes(decisive, ContractJson.Options), .. JsonSerializer.SerializeToUtf8Bytes(student, ContractJson.Options),
            .. BitConverter.GetBytes(schema.Fingerprint)];
        return Convert.ToHexStringLower(SHA256.HashData(json))[..16];
    }
}
