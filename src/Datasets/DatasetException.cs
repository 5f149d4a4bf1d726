namespace KdServing.Datasets;

/// <summary>A dataset can not be read: the message names the file, line or field and what to change.</summary>
public sealed class DatasetException : Exception
{
    public DatasetException(string message) : base(message)
    {
    }

    public DatasetException(string message, Exception inner) : base(message, inner)
    {
    }
}
