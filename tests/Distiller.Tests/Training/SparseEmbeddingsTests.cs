using KdServing.Contracts;
using KdServing.Distiller.Training;
using static TorchSharp.torch;

namespace KdServing.Distiller.Tests.Training;

public sealed class SparseEmbeddingsTests
{
    private static readonly FeatureSchema Schema = Impressions.Schema;

    [Fact]
    public void Gathered_matrices_are_those_that_serving_assembles()
    {
        using var scope = NewDisposeScope();
        using var embeddings = new SparseEmbeddings(Schema, new(), 3);
        var batch = Batch(0, 6);
        var assembler = new FeatureAssembler(Schema, embeddings.Tables);
        var user = new float[Schema.User.Width];
        var item = new float[Impressions.Candidates * Schema.Item.Width];
        var live = new float[Impressions.Candidates * Schema.Live.Width];
        var userColumns = new Column[Schema.User.Features.Count];
        var itemColumns = new Column[Schema.Item.Features.Count + Schema.Live.Features.Count];

        var (users, items, lives) = (embeddings.Gather(batch.User), embeddings.Gather(batch.Item), embeddings.Gather(batch.Live));
        for (var r = 0; r < 6; r++)
        {
            var record = Impressions.Record(r);
            ColumnReader.Match(record.User, "user", 1, [Schema.User], userColumns);
            ColumnReader.Match(record.Item, "item", Impressions.Candidates, [Schema.Item, Schema.Live], itemColumns);
            assembler.AssembleUser(userColumns, user);
            assembler.AssembleItems(itemColumns, Impressions.Candidates, item, live);
            var rows = TensorIndex.Slice(r * Impressions.Candidates, (r + 1) * Impressions.Candidates);
            Assert.Equal(user, users[r].data<float>().ToArray());
            Assert.Equal(item, items[rows].contiguous().data<float>().ToArray());
            Assert.Equal(live, lives[rows].contiguous().data<float>().ToArray());
        }
    }

    // The reference: whole tables as torch parameters, Adagrad written out over all their rows.
    [Theory]
    [InlineData(AdagradState.Row)]
    [InlineData(AdagradState.Element)]
    public void Steps_equal_those_of_dense_tables(AdagradState state)
    {
        var options = new RowOptimizerOptions { LearningRate = 0.1f, State = state };
        using var embeddings = new SparseEmbeddings(Schema, options, 3);
        var width = Schema.Tables[0].Width;
        var dense = embeddings.Tables.Select(t => Enumerable.Range(0, t.Rows).SelectMany(r => t[r].ToArray()).ToArray()).ToArray();
        var sums = embeddings.Tables.Select(t => new double[t.Rows * width]).ToArray();
        for (var step = 0; step < 3; step++)
        {
            using var scope = NewDisposeScope();
            var batch = Batch(step * 4, 4);
            var (user, item) = (embeddings.Gather(batch.User), embeddings.Gather(batch.Item));
            Loss(user, item).backward();
            embeddings.Accumulate(batch.User, user.grad!);
            embeddings.Accumulate(batch.Item, item.grad!);
            embeddings.Step();

            var tables = dense.Select((t, i) => tensor(t, [Schema.Tables[i].Rows, width]).requires_grad_()).ToArray();
            Loss(DenseUser(batch, tables), DenseItem(batch, tables)).backward();
            for (var t = 0; t < tables.Length; t++)
                Adagrad(dense[t], tables[t].grad!.data<float>().ToArray(), sums[t], width, options);
        }

        for (var t = 0; t < dense.Length; t++)
        {
            for (var row = 0; row < Schema.Tables[t].Rows; row++)
            {
                for (var d = 0; d < width; d++)
                    Assert.Equal(dense[t][row * width + d], embeddings.Tables[t][row][d], 1e-5f);
            }
        }
    }

    [Fact]
    public void A_step_touches_the_rows_of_its_batch_and_no_other()
    {
        using var scope = NewDisposeScope();
        using var embeddings = new SparseEmbeddings(Schema, new(), 3);
        var batch = Batch(0, 4);
        var expected = new HashSet<(int, int)>();
        for (var k = 0; k < 2; k++)
            expected.UnionWith(batch.User.TableRows(k).ToArray().Select(r => (Schema.User.Features[k].Table, r)));
        expected.UnionWith(batch.Item.TableRows(0).ToArray().Select(r => (Schema.Item.Features[0].Table, r)));

        var (user, item) = (embeddings.Gather(batch.User), embeddings.Gather(batch.Item));
        Loss(user, item).backward();
        embeddings.Accumulate(batch.User, user.grad!);
        embeddings.Accumulate(batch.Item, item.grad!);
        embeddings.Step();

        Assert.Equal(expected.Count, embeddings.RowsTouched);
        Assert.Equal(expected, embeddings.Tables.SelectMany((t, i) => t.DirtyRows().Select(r => (i, r))).ToHashSet());
    }

    [Fact]
    public void Rows_begin_as_a_function_of_the_seed()
    {
        using var a = new SparseEmbeddings(Schema, new(), 3);
        using var b = new SparseEmbeddings(Schema, new(), 3);
        using var c = new SparseEmbeddings(Schema, new(), 4);

        Assert.Equal(a.Tables[1][7].ToArray(), b.Tables[1][7].ToArray());
        Assert.NotEqual(a.Tables[1][7].ToArray(), c.Tables[1][7].ToArray());
    }

    private static FeatureBatch Batch(int first, int count)
    {
        var batch = new FeatureBatch(Schema, []);
        for (var r = first; r < first + count; r++)
            batch.Add(Impressions.Record(r));
        return batch;
    }

    // Anything whose gradient differs from element to element.
    private static Tensor Loss(Tensor user, Tensor item) => user.square().mul(3).sum().add(item.mul(item.sin()).sum());

    private static Tensor DenseUser(FeatureBatch batch, Tensor[] tables)
    {
        var rows = new List<Tensor>();
        var (history, starts) = (batch.User.TableRows(1).ToArray(), batch.User.SequenceStarts(1).ToArray());
        for (var r = 0; r < batch.User.Count; r++)
        {
            var ids = history[starts[r]..starts[r + 1]].Select(i => (long)i).ToArray();
            var mean = ids.Length == 0 ? zeros([8]) : tables[1].index_select(0, tensor(ids)).mean([0]);
            rows.Add(cat([tables[0][batch.User.TableRows(0)[r]], mean]));
        }
        return stack(rows);
    }

    private static Tensor DenseItem(FeatureBatch batch, Tensor[] tables)
    {
        var ids = batch.Item.TableRows(0).ToArray().Select(i => (long)i).ToArray();
        return cat([tables[1].index_select(0, tensor(ids)), tensor(batch.Item.Numbers(1).ToArray()).reshape(-1, 1)], 1);
    }

    private static void Adagrad(float[] values, float[] gradient, double[] sums, int width, RowOptimizerOptions options)
    {
        for (var row = 0; row < values.Length / width; row++)
        {
            var squares = Enumerable.Range(0, width).Select(d => (double)gradient[row * width + d] * gradient[row * width + d]).ToArray();
            for (var d = 0; d < width; d++)
            {
                var i = row * width + d;
                sums[i] += options.State == AdagradState.Row ? squares.Average() : squares[d];
                values[i] -= (float)(options.LearningRate * gradient[i] / (Math.Sqrt(sums[i] + options.InitialAccumulator) + options.Epsilon));
            }
        }
    }
}
