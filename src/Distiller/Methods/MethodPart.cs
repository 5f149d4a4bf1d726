using KdServing.Distiller.Training;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace KdServing.Distiller.Methods;

/// <summary>
/// Something that learns beside the student and is left out of what is exported: a head, an adapter, a gate, a teacher. It adds
/// predictions or soft labels that <c>kd</c> entries name, or terms of its own.
/// </summary>
/// <remarks>Parts run in their order, before the losses; an earlier part's labels are there for a later one. One thread.</remarks>
public abstract class MethodPart : IDisposable
{
    private readonly List<(string Name, nn.Module Module)> modules = [];

    /// <summary>What the learner's optimiser trains, by name.</summary>
    public IEnumerable<(string Name, Parameter Parameter)> Parameters =>
        modules.SelectMany(m => m.Module.named_parameters().Select(p => ($"{m.Name}.{p.name}", p.parameter)));

    /// <summary>Rows of its own, with a name; null: it reads the student's or none.</summary>
    public virtual (string Name, SparseEmbeddings Embeddings)? Rows => null;

    /// <summary>Runs the part on a batch that the student has scored.</summary>
    public abstract void Run(LearningStep step);

    public virtual void Dispose()
    {
        foreach (var (_, module) in modules)
            module.Dispose();
        Rows?.Embeddings.Dispose();
        GC.SuppressFinalize(this);
    }

    /// <summary>Makes a module's weights part of the state, under this name.</summary>
    protected TModule Register<TModule>(string name, TModule module) where TModule : nn.Module
    {
        modules.Add((name, module));
        return module;
    }
}
