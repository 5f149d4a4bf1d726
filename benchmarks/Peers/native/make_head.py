#!/usr/bin/python3
"""catalog_head.onnx: what is left of the peers' model when the items' first-layer products are known.

Inputs: user_part float[1,128] (W_u u + b1), item_vector float[N,128] (W_i i).  Output: scores float[N].
Weights come from the peers' cold_weights.bin, in its order: tu, ti [100000,16], wu [128,128], wi [192,128], b1, w2 [128,64], b2, w3, b3.
"""
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

folder = sys.argv[1]
USER, ITEM, FIRST, SECOND, TABLE = 8 * 16, 12 * 16, 128, 64, 100_000 * 16
flat = np.fromfile(f"{folder}/cold_weights.bin", np.float32)
at = 2 * TABLE + USER * FIRST + ITEM * FIRST + FIRST


def take(*shape):
    global at
    count = int(np.prod(shape))
    values = flat[at:at + count].reshape(shape)
    at += count
    return values


weights = {"w2": take(FIRST, SECOND), "b2": take(SECOND), "w3": take(SECOND, 1), "b3": take(1), "flat": np.array([-1], np.int64)}
assert at == len(flat), "cold_weights.bin has another layout than this script expects"


def node(kind, inputs, output):
    return helper.make_node(kind, inputs, [output], name=output)


graph = helper.make_graph(
    [
        node("Add", ["item_vector", "user_part"], "first"),
        node("Relu", ["first"], "first_relu"),
        node("Gemm", ["first_relu", "w2", "b2"], "second"),
        node("Relu", ["second"], "second_relu"),
        node("Gemm", ["second_relu", "w3", "b3"], "logits"),
        node("Sigmoid", ["logits"], "probabilities"),
        node("Reshape", ["probabilities", "flat"], "scores"),
    ],
    "catalog_head",
    [
        helper.make_tensor_value_info("user_part", TensorProto.FLOAT, [1, FIRST]),
        helper.make_tensor_value_info("item_vector", TensorProto.FLOAT, ["N", FIRST]),
    ],
    [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N"])],
    [numpy_helper.from_array(np.ascontiguousarray(v), k) for k, v in weights.items()],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
model.ir_version = 8
onnx.checker.check_model(model)
onnx.save(model, f"{folder}/catalog_head.onnx")
