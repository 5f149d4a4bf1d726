using TorchSharp.Interop;

namespace TorchSharp;

public static partial class torch
{
    /// <summary>One place of a Python-like index: a number, a slice, a tensor, a new axis, or "the axes between".</summary>
    public readonly struct TensorIndex
    {
        internal enum Kind
        {
            None,
            Single,
            Slice,
            Tensor,
            Ellipsis,
        }

        internal readonly Kind kind;
        internal readonly long? start;
        internal readonly long? stop;
        internal readonly long? step;
        internal readonly Tensor? tensor;

        private TensorIndex(Kind kind, long? start = null, long? stop = null, long? step = null, Tensor? tensor = null) =>
            (this.kind, this.start, this.stop, this.step, this.tensor) = (kind, start, stop, step, tensor);

        public static TensorIndex Ellipsis => new(Kind.Ellipsis);

        /// <summary>A new axis of size one.</summary>
        public static TensorIndex None => new(Kind.None);

        public static TensorIndex Colon => new(Kind.Slice);

        public static TensorIndex Slice(long? start = null, long? stop = null, long? step = null) => new(Kind.Slice, start, stop, step);

        public static TensorIndex Single(long? index) => new(Kind.Single, index);

        public static TensorIndex Tensor(Tensor tensor) => new(Kind.Tensor, tensor: tensor);

        public static implicit operator TensorIndex(long value) => Single(value);

        public static implicit operator TensorIndex(Tensor value) => Tensor(value);

        public static implicit operator TensorIndex(Range range) => Slice(
            range.Start.IsFromEnd ? -range.Start.Value : range.Start.Value,
            !range.End.IsFromEnd ? range.End.Value : range.End.Value == 0 ? null : -range.End.Value);
    }

    public partial class Tensor
    {
        [System.Runtime.CompilerServices.IndexerName("TensorItems")]
        public Tensor this[params TensorIndex[] indices]
        {
            get => index(indices);
            set => Ignore(index_put_(value, indices));
        }

        [System.Runtime.CompilerServices.IndexerName("TensorItems")]
        public Tensor this[params Tensor[] indices]
        {
            get => index(indices);
            set => Ignore(index_put_(value, indices));
        }

        [System.Runtime.CompilerServices.IndexerName("TensorItems")]
        public Tensor this[long i1]
        {
            get => select(0, i1);
            set => Ignore(index_put_(value, (TensorIndex)i1));
        }

        [System.Runtime.CompilerServices.IndexerName("TensorItems")]
        public Tensor this[long i1, long i2]
        {
            get => index(i1, i2);
            set => Ignore(index_put_(value, (TensorIndex)i1, (TensorIndex)i2));
        }

        /// <summary>The part the indices name; a view unless one of them is a tensor.</summary>
        public Tensor index(params TensorIndex[] indices)
        {
            using var scope = NewDisposeScope();
            var (view, tensors) = Basic(indices);
            return scope.MoveToOuter(tensors is null ? ReferenceEquals(view, this) ? alias() : view : Aten.index__Tensor.Call(view, tensors));
        }

        public Tensor index(params Tensor[] indices) => index(Array.ConvertAll(indices, TensorIndex.Tensor));

        /// <summary>Overwrites the part the indices name; the value is broadcast.</summary>
        public Tensor index_put_(Tensor value, params TensorIndex[] indices)
        {
            using var scope = NewDisposeScope();
            var (view, tensors) = Basic(indices);
            if (tensors is null)
                view.copy_(value);
            else
                Aten.index_put_.On(view, tensors, value);
            return scope.MoveToOuter(alias());
        }

        public Tensor index_put_(Tensor value, params Tensor[] indices) => index_put_(value, Array.ConvertAll(indices, TensorIndex.Tensor));

        // Applies everything but tensor indices; those are returned at their axes, null where an axis is taken whole.
        private (Tensor view, Tensor?[]? tensors) Basic(TensorIndex[] indices)
        {
            var view = this;
            var tensors = new List<Tensor?>();
            long axis = 0;
            for (var i = 0; i < indices.Length; i++)
            {
                var place = indices[i];
                switch (place.kind)
                {
                    case TensorIndex.Kind.Single:
                        view = view.select(axis, place.start!.Value);
                        continue;
                    case TensorIndex.Kind.None:
                        view = view.unsqueeze(axis);
                        break;
                    case TensorIndex.Kind.Slice:
                        if (place.start is not null || place.stop is not null || place.step is not null)
                            view = Aten.slice__Tensor.Call(view, axis, place.start, place.stop, place.step ?? 1);
                        break;
                    case TensorIndex.Kind.Ellipsis:
                        var later = indices.Skip(i + 1).Count(t => t.kind != TensorIndex.Kind.None);
                        for (var whole = view.Dimensions - later; axis < whole; axis++)
                            tensors.Add(null);
                        continue;
                    case TensorIndex.Kind.Tensor:
                        tensors.Add(place.tensor);
                        axis++;
                        continue;
                }
                tensors.Add(null);
                axis++;
            }
            return (view, tensors.TrueForAll(t => t is null) ? null : [.. tensors]);
        }

        private static void Ignore(Tensor handle) => handle.Dispose();
    }
}
