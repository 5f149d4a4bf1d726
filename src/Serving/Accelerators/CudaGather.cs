using System.Runtime.InteropServices;
using System.Text;
using KdServing.Serving.Kernels;

namespace KdServing.Serving.Accelerators;

/// <summary>Copies rows that lie anywhere in a GPU's memory, or in page-locked memory, into a matrix of floats: one warp a row.</summary>
/// <remarks>
/// ONNX's Gather reads one tensor; item vectors grow by chunks that never move. In PTX, which the driver compiles when it is loaded
/// (https://docs.nvidia.com/cuda/parallel-thread-execution): no compiler is needed to build the server.
/// </remarks>
internal sealed unsafe partial class CudaGather
{
    private const int ThreadsPerBlock = 128;
    private const int WarpThreads = 32;

    private const string Driver = "libcuda.so.1";

    private readonly nint float32;
    private readonly nint bfloat16;

    /// <summary>Compiles; the calling thread uses the GPU already.</summary>
    /// <exception cref="AcceleratorException">The driver does not take the code.</exception>
    public CudaGather()
    {
        var code = Encoding.ASCII.GetBytes(".version 6.4\n.target sm_60\n.address_size 64\n"
            + Kernel("gather_float32", sizeof(float), "ld.global.f32 %value, [%from];")
            // The upper half of a float.
            + Kernel("gather_bfloat16", sizeof(ushort), "ld.global.u16 %half, [%from]; cvt.u32.u16 %bits, %half; shl.b32 %bits, %bits, 16; mov.b32 %value, %bits;")
            + "\0");
        nint module;
        fixed (byte* text = code)
            Require(ModuleLoad(out module, text), "cuModuleLoadData");
        Require(ModuleFunction(out float32, module, "gather_float32"), "cuModuleGetFunction");
        Require(ModuleFunction(out bfloat16, module, "gather_bfloat16"), "cuModuleGetFunction");
    }

    /// <summary>Queues it on a stream.</summary>
    /// <exception cref="AcceleratorException">The device does not work.</exception>
    public void Queue(nint addresses, int rows, int width, ItemVectorFormat format, nint to, nint stream)
    {
        var parameters = stackalloc void*[] { &addresses, &to, &width, &rows };
        var blocks = (uint)((rows * WarpThreads + ThreadsPerBlock - 1) / ThreadsPerBlock);
        Require(Launch(format == ItemVectorFormat.Float32 ? float32 : bfloat16, blocks, 1, 1, ThreadsPerBlock, 1, 1, sharedBytes: 0, stream, parameters, null), "cuLaunchKernel");
    }

    // row = thread / 32; for (d = thread % 32; d < width; d += 32) to[row * width + d] = addresses[row][d]
    private static string Kernel(string name, int size, string load) => $$"""

        .visible .entry {{name}}(.param .u64 addresses, .param .u64 to, .param .u32 width, .param .u32 rows)
        {
            .reg .pred %done;
            .reg .b16 %half;
            .reg .b32 %bits, %block, %threads, %thread, %row, %d, %width, %rows;
            .reg .b64 %addresses, %to, %from, %place, %offset;
            .reg .f32 %value;
            ld.param.u64 %addresses, [addresses];
            ld.param.u64 %to, [to];
            ld.param.u32 %width, [width];
            ld.param.u32 %rows, [rows];
            cvta.to.global.u64 %addresses, %addresses;
            cvta.to.global.u64 %to, %to;
            mov.u32 %block, %ctaid.x;
            mov.u32 %threads, %ntid.x;
            mov.u32 %thread, %tid.x;
            mad.lo.u32 %thread, %block, %threads, %thread;
            shr.u32 %row, %thread, 5;
            and.b32 %d, %thread, 31;
            setp.ge.u32 %done, %row, %rows;
            @%done bra END;
            mul.wide.u32 %offset, %row, 8;
            add.u64 %from, %addresses, %offset;
            ld.global.u64 %addresses, [%from];
            mul.lo.u32 %row, %row, %width;
            mul.wide.u32 %offset, %row, 4;
            add.u64 %to, %to, %offset;
        NEXT:
            setp.ge.u32 %done, %d, %width;
            @%done bra END;
            mul.wide.u32 %offset, %d, {{size}};
            add.u64 %from, %addresses, %offset;
            {{load}}
            mul.wide.u32 %offset, %d, 4;
            add.u64 %place, %to, %offset;
            st.global.f32 [%place], %value;
            add.u32 %d, %d, 32;
            bra NEXT;
        END:
            ret;
        }

        """;

    private static void Require(int status, string call)
    {
        if (status != 0)
            throw new AcceleratorException($"CUDA driver: {call} answers {status}");
    }

    [LibraryImport(Driver, EntryPoint = "cuModuleLoadData")]
    private static partial int ModuleLoad(out nint module, byte* image);

    [LibraryImport(Driver, EntryPoint = "cuModuleGetFunction", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int ModuleFunction(out nint function, nint module, string name);

    [LibraryImport(Driver, EntryPoint = "cuLaunchKernel")]
    private static partial int Launch(nint function, uint gridX, uint gridY, uint gridZ, uint blockX, uint blockY, uint blockZ, uint sharedBytes, nint stream,
        void** parameters, void** extra);
}
