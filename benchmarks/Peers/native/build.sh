#!/usr/bin/env bash
# build.sh PEERS OUT ONNXRUNTIME PROTOS: builds the peers' C++ server and models, and our load generator and catalog peer.
#   PEERS        folder of the peers' sources (read only)
#   OUT          gets bin/, gen/, models/
#   ONNXRUNTIME  the unpacked npm package com.github.asus4.onnxruntime: headers and the library both sides load
#   PROTOS       folder that holds kdserving/v1/
# Needs the Debian packages g++ libgrpc++-dev pkg-config protobuf-compiler protobuf-compiler-grpc python3-onnx.
set -euo pipefail
peers=$1 out=$2 package=$3 protos=$4
own=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$out"/{bin,gen,models,lib}
cd "$out"

headers=$package/Plugins/iOS~/onnxruntime.xcframework/ios-arm64_x86_64-simulator/onnxruntime.framework/Headers
ln -sfn "$(realpath "$package/Plugins/Linux/x64/libonnxruntime.so")" lib/libonnxruntime.so
ln -sfn libonnxruntime.so lib/libonnxruntime.so.1

# newer TARGET SOURCE...: TARGET is there and no source is younger.
newer() {
  local target=$1 source
  shift
  [[ -f $target ]] || return 1
  for source in "$@"; do [[ ! $source -nt $target ]] || return 1; done
}

if ! newer models/cold_weights.bin "$peers/models/make_models.py"; then
  # Debian's interpreter: python3-onnx and python3-numpy belong to it.
  /usr/bin/python3 "$peers/models/make_models.py" models
fi
newer models/catalog_head.onnx "$own/make_head.py" models/cold_weights.bin || /usr/bin/python3 "$own/make_head.py" models

include=(-std=c++20 -O3 -march=native -Wall -Wno-ignored-attributes -Wno-maybe-uninitialized -Wno-uninitialized -Wno-restrict
  "-I$headers" -Igen "-I$peers")
read -r -a grpc < <(pkg-config --libs grpc++ protobuf)
onnx=("-L$PWD/lib" -lonnxruntime "-Wl,-rpath,$PWD/lib")

generate() { protoc --cpp_out=gen --grpc_out=gen --plugin=protoc-gen-grpc="$(command -v grpc_cpp_plugin)" "$@"; }
newer gen/peer.pb.cc "$peers/peer.proto" || generate "-I$peers" peer.proto
newer gen/kdserving/v1/ranking.pb.cc "$protos"/kdserving/v1/{features,ranking}.proto ||
  generate "-I$protos" kdserving/v1/features.proto kdserving/v1/ranking.proto

compile() { newer "$2" "$1" "${@:3}" || g++ "${include[@]}" -c "$1" -o "$2"; }
common=("$peers"/common/*.h)
# Two at a time: a compiler of this code takes up to a gigabyte.
compile gen/peer.pb.cc gen/peer.pb.o &
compile gen/peer.grpc.pb.cc gen/peer.grpc.pb.o
wait $!
compile gen/kdserving/v1/features.pb.cc gen/features.pb.o &
compile gen/kdserving/v1/ranking.pb.cc gen/ranking.pb.o
wait $!
compile "$peers/cpp_server/server.cc" gen/server.o "${common[@]}" gen/peer.pb.o &
compile "$own/loadgen.cc" gen/loadgen.o "${common[@]}" gen/ranking.pb.o gen/peer.pb.o
wait $!
compile "$own/catalog_server.cc" gen/catalog_server.o "${common[@]}" gen/peer.pb.o &
compile "$peers/loadgen/loadgen.cc" gen/peers_loadgen.o "${common[@]}" gen/peer.pb.o
wait $!
peer=(gen/peer.pb.o gen/peer.grpc.pb.o)
link() { newer "$@" || g++ "${@:2}" -o "$1" "${onnx[@]}" "${grpc[@]}" -lpthread; }
link bin/cpp_server gen/server.o "${peer[@]}"
link bin/catalog_server gen/catalog_server.o "${peer[@]}"
link bin/loadgen gen/loadgen.o gen/ranking.pb.o gen/features.pb.o gen/peer.pb.o
link bin/peers_loadgen gen/peers_loadgen.o "${peer[@]}"
