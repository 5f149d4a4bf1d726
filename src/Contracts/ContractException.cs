namespace KdServing.Contracts;

/// <summary>Input that breaks a contract between the processes: names the field and what to do about it.</summary>
/// <remarks>Safe to show to a client: the message never holds a path, an address or an internal name.</remarks>
public sealed class ContractException : Exception
{
    public ContractException(string field, string reason) : base($"{field}: {reason}")
    {
        Field = field;
        Reason = reason;
    }

    /// <summary>The offending field as the sender knows it, e.g. <c>item[2].raw_int64</c> or <c>features[3].buckets</c>.</summary>
    public string Field { get; }

    public string Reason { get; }
}
