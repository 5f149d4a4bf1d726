using TorchSharp.Modules;

namespace TorchSharp;

public static partial class torch
{
    public static partial class nn
    {
        /// <summary>
        /// Parameters, buffers and sub-modules under names. Derive from <see cref="Module{T, TResult}"/>, keep the parts in fields and call
        /// <see cref="RegisterComponents"/> at the end of the constructor; a part's name is its field's. Disposal disposes all parts.
        /// </summary>
        public abstract partial class Module : IDisposable
        {
            private readonly List<(string name, Parameter parameter)> _parameters = [];
            private readonly List<(string name, Tensor buffer, bool persistent)> _buffers = [];
            private readonly List<(string name, Module module)> _modules = [];
            private bool _registered;

            protected Module(string name) => this.name = name;

            protected string name { get; }

            /// <summary>Whether layers such as dropout and batch normalisation behave as in training.</summary>
            public virtual bool training { get; private set; } = true;

            public virtual string GetName() => name;

            public virtual void train(bool train = true)
            {
                training = train;
                foreach (var (_, module) in _modules)
                    module.train(train);
            }

            public virtual void eval() => train(false);

            public virtual Module apply(Action<Module> fn)
            {
                foreach (var (_, module) in _modules)
                    module.apply(fn);
                fn(this);
                return this;
            }

            public virtual void zero_grad(bool set_to_none = true)
            {
                foreach (var parameter in parameters())
                    ClearGradient(parameter, set_to_none);
            }

            internal static void ClearGradient(Parameter parameter, bool setToNone)
            {
                if (setToNone)
                {
                    parameter.grad = null;
                    return;
                }
                using var grad = parameter.grad;
                grad?.zero_().Dispose();
            }

            public virtual IEnumerable<(string name, Parameter parameter)> named_parameters(bool recurse = true)
            {
                var seen = new HashSet<Parameter>(ReferenceEqualityComparer.Instance);
                return Walk("", recurse).SelectMany(place => place.module._parameters.Select(p => (place.prefix + p.name, p.parameter)))
                    .Where(p => seen.Add(p.parameter));
            }

            public virtual IEnumerable<Parameter> parameters(bool recurse = true) => named_parameters(recurse).Select(p => p.parameter);

            public virtual IEnumerable<(string name, Tensor buffer)> named_buffers(bool recurse = true, bool include_nonpersistent = true)
            {
                var seen = new HashSet<Tensor>(ReferenceEqualityComparer.Instance);
                return Walk("", recurse).SelectMany(place => place.module._buffers.Where(b => b.persistent || include_nonpersistent)
                    .Select(b => (place.prefix + b.name, b.buffer))).Where(b => seen.Add(b.buffer));
            }

            public virtual IEnumerable<Tensor> buffers(bool recurse = true, bool include_nonpersistent = true) =>
                named_buffers(recurse, include_nonpersistent).Select(b => b.buffer);

            public virtual IEnumerable<(string name, Module module)> named_children() => _modules;

            public virtual IEnumerable<Module> children() => _modules.Select(m => m.module);

            public virtual IEnumerable<(string name, Module module)> named_modules() =>
                Walk("", true).Skip(1).Select(place => (place.prefix[..^1], place.module));

            public virtual IEnumerable<Module> modules() => named_modules().Select(m => m.module);

            /// <summary>Parameters and persistent buffers by name; the tensors themselves, not copies.</summary>
            public virtual Dictionary<string, Tensor> state_dict(Dictionary<string, Tensor>? destination = null, string? prefix = null)
            {
                destination ??= [];
                var start = string.IsNullOrEmpty(prefix) ? "" : prefix + ".";
                foreach (var (key, parameter) in named_parameters())
                    destination.TryAdd(start + key, parameter);
                foreach (var (key, buffer) in named_buffers(include_nonpersistent: false))
                    destination.TryAdd(start + key, buffer);
                return destination;
            }

            /// <summary>Copies values into the parameters and buffers of the same names.</summary>
            /// <exception cref="InvalidOperationException">Strict, and the names differ.</exception>
            public virtual (IList<string> missing_keys, IList<string> unexpected_keyes) load_state_dict(
                Dictionary<string, Tensor> source, bool strict = true, IList<string>? skip = null)
            {
                var target = state_dict();
                bool Wanted(string key) => skip is null || !skip.Contains(key);
                List<string> unexpected = [.. source.Keys.Where(k => Wanted(k) && !target.ContainsKey(k))];
                List<string> missing = [.. target.Keys.Where(k => Wanted(k) && !source.ContainsKey(k))];
                if (strict && (missing.Count > 0 || unexpected.Count > 0))
                    throw new InvalidOperationException("The loaded state_dict is not identical to the target dictionary. " +
                        $"Missing: [{string.Join(", ", missing)}]; unexpected: [{string.Join(", ", unexpected)}].");
                using var grad = no_grad();
                foreach (var (key, value) in source)
                    if (Wanted(key) && target.TryGetValue(key, out var own))
                        own.copy_(value).Dispose();
                return (missing, unexpected);
            }

            public void Dispose()
            {
                Dispose(true);
                GC.SuppressFinalize(this);
            }

            protected virtual void Dispose(bool disposing)
            {
                if (!disposing)
                    return;
                foreach (var (_, parameter) in _parameters)
                    parameter.Dispose();
                foreach (var (_, buffer, _) in _buffers)
                    buffer.Dispose();
                foreach (var (_, module) in _modules)
                    module.Dispose();
            }

            private IEnumerable<(string prefix, Module module)> Walk(string prefix, bool recurse)
            {
                yield return (prefix, this);
                if (!recurse)
                    yield break;
                foreach (var (child, module) in _modules)
                    foreach (var place in module.Walk($"{prefix}{child}.", true))
                        yield return place;
            }
        }
    }
}
