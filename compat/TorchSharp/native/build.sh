#!/bin/sh
# Builds libkdtorch.so: build.sh OUTPUT_FILE
# KD_LIBTORCH names the prefix of another libtorch (the folder with include/ and lib/), for example a CUDA build of 2.x;
# without it Debian's libtorch-dev is used.
set -eu
out=$1
here=$(cd "$(dirname "$0")" && pwd)
prefix=${KD_LIBTORCH:-}
# CMake's variable counts when it names a libtorch; it is often set for other libraries.
if [ -z "$prefix" ] && [ -f "${CMAKE_PREFIX_PATH:-}/include/torch/csrc/api/include/torch/torch.h" ]; then prefix=$CMAKE_PREFIX_PATH; fi
if [ -n "$prefix" ]; then
  include=$prefix/include; lib=$prefix/lib
else
  include=/usr/include; lib=$(dirname "$(ls /usr/lib/*/libtorch_cpu.so /usr/lib/libtorch_cpu.so 2>/dev/null | head -n 1)" 2>/dev/null || true)
fi
if [ ! -f "$include/torch/csrc/api/include/torch/torch.h" ]; then
  # MSBuild shows a line of this form as the build's error.
  echo "build.sh : error KD0001: libtorch's headers are not under $include. Run './kd setup' or 'apt-get install g++ libtorch-dev libopenblas0-pthread', or set KD_LIBTORCH to the folder of another libtorch." >&2
  exit 1
fi
abi=
if [ -n "$prefix" ]; then
  # libtorch wheels before 2.6 use the old std::string layout; the library's own symbols tell which.
  if nm -DC --defined-only "$lib/libc10.so" 2>/dev/null | grep -q 'c10::Error::Error(.*std::__cxx11'; then abi=-D_GLIBCXX_USE_CXX11_ABI=1; else abi=-D_GLIBCXX_USE_CXX11_ABI=0; fi
fi
cuda=
# A CUDA build registers its kernels when loaded, so it has to be linked even though nothing names it.
if [ -e "$lib/libtorch_cuda.so" ]; then cuda="-Wl,--no-as-needed -ltorch_cuda -lc10_cuda -Wl,--as-needed"; fi
work=$(mktemp -d "${TMPDIR:-/tmp}/kdtorch.XXXXXX")
trap 'rm -rf "$work"' EXIT
flags="-O2 -ftree-vectorize -fno-math-errno -fno-trapping-math -fPIC -std=c++17 -fvisibility=hidden -w $abi -I$include -I$include/torch/csrc/api/include"
mkdir -p "$(dirname "$out")"
pids=
for unit in dispatch tensor optimizer; do
  ${CXX:-g++} $flags -c "$here/$unit.cpp" -o "$work/$unit.o" & pids="$pids $!"
done
for pid in $pids; do wait "$pid"; done
${CXX:-g++} -shared -o "$work/libkdtorch.so" "$work"/*.o -L"$lib" -Wl,-rpath,"$lib" $cuda -ltorch -ltorch_cpu -lc10
# Renamed into place: a build running beside this one sees the old file or the new one, never half of one.
cp "$work/libkdtorch.so" "$out.$$" && mv -f "$out.$$" "$out"
