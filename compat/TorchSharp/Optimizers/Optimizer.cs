using TorchSharp.Modules;

namespace TorchSharp
{
    public static partial class torch
    {
        public static partial class optim
        {
            /// <summary>Updates parameters in place from their gradients. Not thread-safe; disposal frees the per-parameter state.</summary>
            public abstract class Optimizer : IDisposable
            {
                protected IList<ParamGroup> _parameter_groups = [];

                public virtual IEnumerable<ILearningRateController> ParamGroups => _parameter_groups;

                public virtual IEnumerable<Parameter> parameters() => _parameter_groups.SelectMany(g => g.Parameters);

                /// <summary>Forgets the gradients: a parameter that the next loss does not reach is then left alone by step.</summary>
                public virtual void zero_grad()
                {
                    foreach (var parameter in parameters())
                        nn.Module.ClearGradient(parameter, true);
                }

                public abstract void add_param_group(ParamGroup param_group);

                /// <summary>One update; a closure, when given, recomputes the loss first.</summary>
                public abstract Tensor? step(Func<Tensor>? closure = null);

                public void Dispose()
                {
                    Dispose(true);
                    GC.SuppressFinalize(this);
                }

                protected virtual void Dispose(bool disposing)
                {
                }

                /// <summary>Options by group, state by parameter, in the order of the groups.</summary>
                public class StateDictionary
                {
                    internal StateDictionary()
                    {
                    }

                    public List<OptimizerOptions> Options { get; } = [];

                    public List<OptimizerState> State { get; } = [];
                }
            }

            /// <summary>What a learning-rate schedule turns.</summary>
            public interface ILearningRateController
            {
                double LearningRate { get; set; }

                double InitialLearningRate { get; set; }
            }

            /// <summary>Optimisers whose momentum a schedule may turn.</summary>
            public interface IMomentum
            {
                double Momentum { get; set; }
            }

            /// <summary>Optimisers with two running averages.</summary>
            public interface IBetas
            {
                (double, double) Betas { get; set; }
            }
        }
    }
}

namespace TorchSharp.Modules
{
    /// <summary>Settings of a group of parameters; null takes the optimiser's own.</summary>
    public abstract class OptimizerOptions
    {
        public double? LearningRate { get; set; }

        public double InitialLearningRate { get; set; }

        public abstract void LoadStateDict(OptimizerOptions source);

        public abstract void LoadStateDict(BinaryReader reader);

        public abstract void SaveStateDict(BinaryWriter writer);
    }

    /// <summary>What an optimiser remembers of one parameter.</summary>
    public abstract class OptimizerState(Parameter parameter) : IDisposable
    {
        internal Parameter _parameter = parameter;

        public abstract void to(torch.Device device);

        public abstract void LoadStateDict(OptimizerState source);

        public abstract void LoadStateDict(BinaryReader reader);

        public abstract void SaveStateDict(BinaryWriter writer);

        public abstract bool ApproximatelyEquals(OptimizerState other);

        public abstract void Initialize(OptimizerOptions options);

        public void Dispose()
        {
            Dispose(true);
            GC.SuppressFinalize(this);
        }

        protected virtual void Dispose(bool disposing)
        {
        }
    }

    /// <summary>Parameters that share settings.</summary>
    public class ParamGroup : torch.optim.ILearningRateController
    {
        public IEnumerable<Parameter> Parameters { get; set; } = [];

        public OptimizerOptions Options { get; set; } = null!;

        public double LearningRate
        {
            get => Options.LearningRate!.Value;
            set => Options.LearningRate = value;
        }

        public double InitialLearningRate
        {
            get => Options.InitialLearningRate;
            set => Options.InitialLearningRate = value;
        }
    }

    /// <summary>A group whose options are those of one optimiser.</summary>
    public class ParamGroup<TOptions> : ParamGroup where TOptions : OptimizerOptions
    {
        public ParamGroup()
        {
        }

        public ParamGroup(IEnumerable<Parameter> parameters, TOptions? options = null)
        {
            Parameters = parameters;
            Options = options!;
        }

        public new TOptions Options
        {
            get => (TOptions)base.Options;
            set => base.Options = value;
        }
    }
}
