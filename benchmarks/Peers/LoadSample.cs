namespace KdServing.Benchmarks.Peers;

/// <summary>What one sample of load measured. Times are milliseconds from the (intended) send.</summary>
/// <param name="IsOpen">Whether requests came at a rate of their own, whatever the replies.</param>
/// <param name="ServerUs">Processor time the server took a request, microseconds.</param>
/// <param name="OtherCpu">Cores that were busy with neither the server nor the generator.</param>
/// <param name="StolenCpu">Cores that a virtual machine's host took away while they had work (<see cref="StolenTime"/>).</param>
/// <param name="Failures">Requests refused, failed or never sent.</param>
internal sealed record LoadSample(bool IsOpen, double Rps, double P50Ms, double P99Ms, double P999Ms, double ServerUs, double ClientUs, double OtherCpu, double StolenCpu,
    long Failures, int RequestBytes)
{
    /// <summary>Foreign load above which a sample is taken again, cores; as the peers' own runner has it.</summary>
    public const double NoiseCores = 0.15;

    /// <summary>
    /// Stolen time above which an open loop is taken again, cores: its p99 is one request in a hundred, and whatever keeps every request waiting in a hundredth of the time decides it.
    /// Half of that; stolen time is counted in ticks of 10 ms, so of a second it says whether there was any.
    /// </summary>
    public const double StolenCores = 0.005;

    /// <summary>How much else went on meanwhile, of what is put up with; by what the machine says of itself, never by the sample's own figures.</summary>
    public double Disturbance => Math.Max(OtherCpu / NoiseCores, IsOpen ? StolenCpu / StolenCores : 0);

    public bool IsDisturbed => Disturbance > 1;
}
