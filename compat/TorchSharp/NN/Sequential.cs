using TorchSharp.Modules;

namespace TorchSharp.Modules
{
    /// <summary>Modules one after the other; owns them.</summary>
    public class Sequential : torch.nn.Module<torch.Tensor, torch.Tensor>
    {
        private readonly List<torch.nn.Module<torch.Tensor, torch.Tensor>> _chain = [];

        internal Sequential(IEnumerable<(string name, torch.nn.Module<torch.Tensor, torch.Tensor> module)> modules) : base(nameof(Sequential))
        {
            foreach (var (name, module) in modules)
                Append(name, module);
        }

        public int Count => _chain.Count;

        public torch.nn.Module<torch.Tensor, torch.Tensor> this[int index] => _chain[index];

        public Sequential append(torch.nn.Module<torch.Tensor, torch.Tensor> module) => Append(_chain.Count.ToString(System.Globalization.CultureInfo.InvariantCulture), module);

        public Sequential append(string name, torch.nn.Module<torch.Tensor, torch.Tensor> module) => Append(name, module);

        public override torch.Tensor forward(torch.Tensor input)
        {
            if (_chain.Count == 0)
                return input.alias();
            using var scope = torch.NewDisposeScope();
            foreach (var module in _chain)
                input = module.call(input);
            return input.MoveToOuterDisposeScope();
        }

        private Sequential Append(string name, torch.nn.Module<torch.Tensor, torch.Tensor> module)
        {
            register_module(name, module);
            _chain.Add(module);
            return this;
        }
    }

    /// <summary>Modules in a list, registered under their positions; owns them.</summary>
    public class ModuleList<T> : torch.nn.Module, IReadOnlyList<T> where T : torch.nn.Module
    {
        private readonly List<T> _list = [];

        internal ModuleList(IEnumerable<T> modules) : base(nameof(ModuleList<T>))
        {
            foreach (var module in modules)
                Add(module);
        }

        public int Count => _list.Count;

        public T this[int index] => _list[index];

        public void Add(T module)
        {
            register_module(_list.Count.ToString(System.Globalization.CultureInfo.InvariantCulture), module);
            _list.Add(module);
        }

        public IEnumerator<T> GetEnumerator() => _list.GetEnumerator();

        System.Collections.IEnumerator System.Collections.IEnumerable.GetEnumerator() => GetEnumerator();
    }
}

namespace TorchSharp
{
    public static partial class torch
    {
        public static partial class nn
        {
            public static Sequential Sequential(params (string name, Module<Tensor, Tensor> submodule)[] modules) => new(modules);

            public static Sequential Sequential(params Module<Tensor, Tensor>[] modules) => new(Numbered(modules));

            public static Sequential Sequential(IEnumerable<(string name, Module<Tensor, Tensor> submodule)> modules) => new(modules);

            public static Sequential Sequential(IEnumerable<Module<Tensor, Tensor>> modules) => new(Numbered(modules));

            public static ModuleList<T> ModuleList<T>(params T[] modules) where T : Module => new(modules);

            private static IEnumerable<(string, Module<Tensor, Tensor>)> Numbered(IEnumerable<Module<Tensor, Tensor>> modules) =>
                modules.Select((module, i) => (i.ToString(System.Globalization.CultureInfo.InvariantCulture), module));
        }
    }
}
