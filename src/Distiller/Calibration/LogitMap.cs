namespace KdServing.Distiller.Calibration;

/// <summary>How a teacher version's logits are taken: logit' = <paramref name="Scale"/> · logit + <paramref name="Bias"/>.</summary>
public readonly record struct LogitMap(double Scale, double Bias)
{
    public static readonly LogitMap Identity = new(1, 0);

    public double Of(double logit) => Scale * logit + Bias;

    /// <param name="share">0: the one, 1: the other.</param>
    public static LogitMap Between(LogitMap one, LogitMap other, double share) => share >= 1
        ? other
        : new(one.Scale + share * (other.Scale - one.Scale), one.Bias + share * (other.Bias - one.Bias));

    public void Save(BinaryWriter writer)
    {
        writer.Write(Scale);
        writer.Write(Bias);
    }

    public static LogitMap Restore(BinaryReader reader) => new(reader.ReadDouble(), reader.ReadDouble());
}
