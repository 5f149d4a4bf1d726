using System.Reflection;
using TorchSharp.Modules;

namespace TorchSharp;

public static partial class torch
{
    public static partial class nn
    {
        public abstract partial class Module
        {
            public virtual void register_parameter(string name, Parameter param)
            {
                if (param is null || param.IsInvalid)
                    throw new ArgumentNullException(nameof(param), "A null tensor cannot be registered as a parameter.");
                if (has(name))
                    throw new InvalidOperationException($"Parameter {name} is already registered.");
                param.DetachFromDisposeScope();
                _parameters.Add((name, param));
            }

            public virtual void register_buffer(string name, Tensor tensor, bool persistent = true)
            {
                if (tensor is null || tensor.IsInvalid)
                    throw new ArgumentNullException(nameof(tensor), "A null tensor cannot be registered as a buffer.");
                if (has(name))
                    throw new InvalidOperationException($"Tensor {name} is already registered.");
                tensor.DetachFromDisposeScope();
                _buffers.Add((name, tensor, persistent));
            }

            public virtual void register_module(string name, Module submodule)
            {
                if (string.IsNullOrEmpty(name) || name.Contains('.', StringComparison.Ordinal))
                    throw new ArgumentException($"module name can't be empty or contain \".\", got: {name}");
                if (_modules.Any(m => m.name == name))
                    throw new InvalidOperationException($"Sub-module {name} is already registered.");
                submodule.RegisterComponents();
                _modules.Add((name, submodule));
            }

            public void add_module(string name, Module module) => register_module(name, module);

            public virtual Parameter? get_parameter(string target) => named_parameters().FirstOrDefault(p => p.name == target).parameter;

            public virtual Tensor? get_buffer(string target) => named_buffers().FirstOrDefault(b => b.name == target).buffer;

            public virtual bool has_parameter(string target) => get_parameter(target) is not null;

            public virtual bool has_buffer(string target) => get_buffer(target) is not null;

            /// <summary>Registers every field that holds a module, a parameter or a tensor under the field's name.</summary>
            protected virtual void RegisterComponents()
            {
                if (_registered)
                    return;
                _registered = true;
                for (var type = GetType(); type is not null && type != typeof(Module); type = type.BaseType)
                    foreach (var field in type.GetFields(BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly))
                        Register(field.GetCustomAttribute<ComponentNameAttribute>()?.Name ?? field.Name, field.GetValue(this));
            }

            /// <summary>Adds, replaces or (with null) removes a parameter.</summary>
            protected void ConditionallyRegisterParameter(string name, Parameter? value)
            {
                var at = _parameters.FindIndex(p => p.name == name);
                if (value is not null)
                    value.DetachFromDisposeScope();
                if (value is null && at >= 0)
                    _parameters.RemoveAt(at);
                else if (value is not null && at >= 0)
                    _parameters[at] = (name, value);
                else if (value is not null)
                    _parameters.Add((name, value));
            }

            /// <summary>Adds, replaces or (with null) removes a buffer.</summary>
            protected void ConditionallyRegisterBuffer(string name, Tensor? value, bool persistent = true)
            {
                var at = _buffers.FindIndex(b => b.name == name);
                value?.DetachFromDisposeScope();
                if (value is null && at >= 0)
                    _buffers.RemoveAt(at);
                else if (value is not null && at >= 0)
                    _buffers[at] = (name, value, persistent);
                else if (value is not null)
                    _buffers.Add((name, value, persistent));
            }

            internal void MoveParts(ScalarType? dtype, Device? device)
            {
                // Values move under the same handles: fields, registries and optimisers keep pointing at them.
                using var grad = no_grad();
                foreach (var tensor in parameters().Concat(buffers()))
                {
                    var type = dtype is { } wanted && tensor.is_floating_point() ? wanted : tensor.dtype;
                    if (type == tensor.dtype && (device is null || device == tensor.device))
                        continue;
                    using var moved = tensor.to(type, device ?? tensor.device);
                    Interop.NativeMethods.Check(Interop.NativeMethods.kd_tensor_set_data(tensor.Handle, moved.Handle));
                    tensor.grad = null;
                }
            }

            private bool has(string name) =>
                _parameters.Any(p => p.name == name) || _buffers.Any(b => b.name == name) || _modules.Any(m => m.name == name);

            private void Register(string name, object? value)
            {
                if (has(name))
                    return;
                switch (value)
                {
                    case Module module when _modules.All(m => m.module != module):
                        register_module(name, module);
                        break;
                    case Modules.Parameter parameter when _parameters.All(p => !ReferenceEquals(p.parameter, parameter)):
                        register_parameter(name, parameter);
                        break;
                    case Tensor tensor when tensor is not Modules.Parameter && _buffers.All(b => !ReferenceEquals(b.buffer, tensor)):
                        register_buffer(name, tensor);
                        break;
                }
            }
        }

        /// <summary>A module with one input.</summary>
        public abstract class Module<T, TResult> : Module, IModule<T, TResult>
        {
            protected Module(string name) : base(name)
            {
            }

            public abstract TResult forward(T input);

            public TResult call(T input) => forward(input);
        }

        /// <summary>A module with two inputs.</summary>
        public abstract class Module<T1, T2, TResult> : Module, IModule<T1, T2, TResult>
        {
            protected Module(string name) : base(name)
            {
            }

            public abstract TResult forward(T1 input1, T2 input2);

            public TResult call(T1 input1, T2 input2) => forward(input1, input2);
        }

        /// <summary>A module with three inputs.</summary>
        public abstract class Module<T1, T2, T3, TResult> : Module, IModule<T1, T2, T3, TResult>
        {
            protected Module(string name) : base(name)
            {
            }

            public abstract TResult forward(T1 input1, T2 input2, T3 input3);

            public TResult call(T1 input1, T2 input2, T3 input3) => forward(input1, input2, input3);
        }

        public interface IModule<T, TResult>
        {
            TResult call(T input1);
        }

        public interface IModule<T1, T2, TResult>
        {
            TResult call(T1 input1, T2 input2);
        }

        public interface IModule<T1, T2, T3, TResult>
        {
            TResult call(T1 input1, T2 input2, T3 input3);
        }
    }
}

/// <summary>The name under which a field is registered, where it is not the field's own.</summary>
[AttributeUsage(AttributeTargets.Field | AttributeTargets.Property)]
public sealed class ComponentNameAttribute : Attribute
{
    public string? Name { get; set; }
}

/// <summary>Moving modules between devices and element types; the module itself comes back.</summary>
public static class ModuleExtensionMethods
{
    public static T to<T>(this T module, torch.Device device, torch.ScalarType type, bool non_blocking = false) where T : torch.nn.Module => Moved(module, type, device);

    public static T to<T>(this T module, DeviceType deviceType, int deviceIndex = -1, bool non_blocking = false) where T : torch.nn.Module =>
        Moved(module, null, new torch.Device(deviceType, deviceIndex));

    public static T to<T>(this T module, torch.Device device, bool non_blocking = false) where T : torch.nn.Module => Moved(module, null, device);

    public static T to<T>(this T module, string device, bool non_blocking = false) where T : torch.nn.Module => Moved(module, null, new torch.Device(device));

    public static T to<T>(this T module, torch.ScalarType type, bool non_blocking = false) where T : torch.nn.Module => Moved(module, type, null);

    public static T to<T>(this T module, torch.Tensor other, bool non_blocking = false) where T : torch.nn.Module => Moved(module, other.dtype, other.device);

    public static T cpu<T>(this T module, bool non_blocking = false) where T : torch.nn.Module => Moved(module, null, torch.CPU);

    public static T cuda<T>(this T module, int deviceIndex = -1, bool non_blocking = false) where T : torch.nn.Module =>
        Moved(module, null, new torch.Device(DeviceType.CUDA, deviceIndex));

    private static T Moved<T>(T module, torch.ScalarType? type, torch.Device? device) where T : torch.nn.Module
    {
        module.MoveParts(type, device);
        return module;
    }
}
