using System.Diagnostics;
using TorchSharp.Interop;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace KdServing.Compat.Tests.TorchSharp;

/// <summary>Who frees a tensor, and when: scopes, disposal, modules, thousands of training steps.</summary>
[Collection(TorchCollection.Name)]
public sealed class LifetimeTests
{
    [Fact]
    public void A_scope_disposes_what_was_made_inside()
    {
        Tensor inside;
        using (var scope = NewDisposeScope())
        {
            inside = ones(3) + 1;
            Assert.Equal(2, scope.DisposablesCount);
            Assert.True(scope.Contains(inside));
        }
        Assert.True(inside.IsInvalid);
        Assert.Throws<InvalidOperationException>(() => inside.sum());
    }

    [Fact]
    public void What_is_moved_out_belongs_to_the_outer_scope()
    {
        Tensor kept;
        using (NewDisposeScope())
        {
            using (var inner = NewDisposeScope())
                kept = inner.MoveToOuter(ones(3));
            Assert.False(kept.IsInvalid);
        }
        Assert.True(kept.IsInvalid);
    }

    [Fact]
    public void Without_an_outer_scope_what_is_moved_out_is_on_its_own()
    {
        Tensor kept;
        using (NewDisposeScope())
            kept = ones(3).MoveToOuterDisposeScope();
        Assert.False(kept.IsInvalid);
        kept.Dispose();
    }

    [Fact]
    public void What_is_detached_survives_every_scope()
    {
        Tensor kept;
        using (NewDisposeScope())
        using (NewDisposeScope())
            kept = ones(3).DetachFromDisposeScope();
        Assert.False(kept.IsInvalid);
        kept.Dispose();
        Assert.True(kept.IsInvalid);
    }

    [Fact]
    public void DisposeEverythingBut_keeps_the_scope_open()
    {
        using var scope = NewDisposeScope();
        var (gone, kept) = (ones(1), ones(2));
        scope.DisposeEverythingBut(kept);
        Assert.True(gone.IsInvalid);
        Assert.False(kept.IsInvalid);
        Assert.Equal([kept], scope.DisposablesView);
    }

    [Fact]
    public void Disposing_by_hand_leaves_the_scope_and_twice_does_nothing()
    {
        using var scope = NewDisposeScope();
        var tensor = ones(1);
        tensor.Dispose();
        tensor.Dispose();
        Assert.Equal(0, scope.DisposablesCount);
    }

    [Fact]
    public void A_scope_belongs_to_its_thread()
    {
        using var scope = NewDisposeScope();
        // A thread of its own: a task could be run by this very thread, once it waits.
        Tensor? elsewhere = null;
        var thread = new Thread(() => elsewhere = ones(3));
        thread.Start();
        thread.Join();
        Assert.Equal(0, scope.DisposablesCount);
        elsewhere!.Dispose();
    }

    [Fact]
    public void A_parameter_takes_over_its_data_and_its_place()
    {
        using var scope = NewDisposeScope();
        var data = ones(3);
        var parameter = nn.Parameter(data);
        Assert.True(data.IsInvalid);
        Assert.True(parameter.requires_grad);
        Assert.Equal([parameter], scope.DisposablesView);
    }

    [Fact]
    public void A_module_outlives_the_scope_it_was_made_in_and_frees_all_it_has()
    {
        var before = NativeMethods.kd_live_tensors();
        nn.Module<Tensor, Tensor> module;
        using (NewDisposeScope())
            module = nn.Sequential(("one", nn.Linear(3, 4)), ("two", nn.BatchNorm1d(4)), ("three", nn.LayerNorm(4)));
        Assert.Equal(9, NativeMethods.kd_live_tensors() - before);
        using (NewDisposeScope())
            Assert.Equal([2, 4], module.call(ones(2, 3)).shape);
        module.Dispose();
        Assert.Equal(before, NativeMethods.kd_live_tensors());
    }

    [Fact]
    public void A_forgotten_tensor_is_freed_by_its_finaliser()
    {
        var before = NativeMethods.kd_live_tensors();
        Forget();
        GC.Collect();
        GC.WaitForPendingFinalizers();
        Assert.Equal(before, NativeMethods.kd_live_tensors());

        static void Forget()
        {
            for (var i = 0; i < 100; i++)
                ones(10);
        }
    }

    [Fact]
    public void An_array_lent_to_libtorch_is_unpinned_with_the_last_tensor_over_it()
    {
        var array = new float[] { 1, 2, 3, 4 };
        using (var shared = frombuffer(array, ScalarType.Float32, 2, 1))
        {
            shared.mul_(10);
            Assert.Equal([1, 20, 30, 4], array);
        }
        var weak = Lend();
        GC.Collect();
        Assert.False(weak.IsAlive);

        static WeakReference Lend()
        {
            var lent = new float[1000];
            using var shared = frombuffer(lent, ScalarType.Float32);
            return new WeakReference(lent);
        }
    }

    /// <summary>Four thousand Adam steps of a small network leave no tensor behind and the resident set where it was.</summary>
    [Fact]
    public void Training_leaves_nothing_behind()
    {
        manual_seed(1);
        var before = NativeMethods.kd_live_tensors();
        long warm = 0, end = 0;
        using (var net = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 1)))
        using (var optimizer = optim.Adam(net.parameters()))
        using (var table = randn(200, 16))
        {
            for (var step = 0; step < 4000; step++)
            {
                if (step == 1000)
                    warm = Resident();
                Train(net, optimizer, table);
            }
            end = Resident();
            // The table, four parameters, two moments each; gradients live in libtorch without a handle.
            Assert.Equal(before + 1 + 4 + 8, NativeMethods.kd_live_tensors());
        }
        Assert.Equal(before, NativeMethods.kd_live_tensors());
        Assert.InRange(end - warm, long.MinValue, 16 << 20);
    }

    private static void Train(Sequential net, Adam optimizer, Tensor table)
    {
        using var scope = NewDisposeScope();
        var rows = table.index_select(0, randint(0, 200, [64])).requires_grad_();
        var target = rows.sum(1).gt(0).to(ScalarType.Float32);
        optimizer.zero_grad();
        var loss = nn.functional.binary_cross_entropy_with_logits(net.call(rows).squeeze(1), target);
        loss.backward();
        nn.utils.clip_grad_norm_(net.parameters(), 1);
        optimizer.step();
        Assert.Equal([64, 16], rows.grad!.shape);
    }

    private static long Resident()
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
        using var process = Process.GetCurrentProcess();
        return process.WorkingSet64;
    }
}
