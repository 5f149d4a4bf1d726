using KdServing.Contracts;
using KdServing.Serving.Models;

namespace KdServing.Serving.Catalog;

/// <summary>One version's share of the catalog: its item vectors. Belongs to its servable, which gives it back when it is disposed.</summary>
public sealed class VersionItems : IDisposable
{
    private readonly ItemCatalog catalog;

    internal VersionItems(ItemCatalog catalog, Servable servable, ItemVectors vectors)
    {
        this.catalog = catalog;
        Servable = servable;
        Vectors = vectors;
        Assembler = new(servable.Schema, servable.Tables);
    }

    internal Servable Servable { get; }

    internal ItemVectors Vectors { get; }

    internal FeatureAssembler Assembler { get; }

    /// <summary>Gives the vectors' memory back to the catalog, for a later version. Only when no request scores with the servable.</summary>
    public void Dispose() => catalog.Release(this);
}
