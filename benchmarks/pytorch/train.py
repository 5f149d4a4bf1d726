"""The training step of samples/globo in PyTorch, as well as PyTorch does it: the other side of `kd bench training`.

    train.py FOLDER --steps 500 --threads 1 --optimizer adagrad [--losses]

FOLDER is what WorkloadFiles writes. Batches are decoded to tensors before the clock starts. Tables of one width are one
nn.Embedding(sparse=True), so that all features of that width are one look-up, one coalesced gradient and one optimiser step; a
sequence is an embedding_bag over the same weights. The user's part of the first layer is computed once an impression.
Prints one line of JSON: {"step_ms": median, "losses": [...]}.
"""
import argparse
import json
import os
import statistics
import time

import torch
from torch import nn
from torch.nn import functional


class Lookup(nn.Module):
    """One group's input matrix, features of one width side by side; `columns` gives our column of each of its columns."""

    def __init__(self, features, embeddings, table_offset):
        super().__init__()
        self.embeddings, self.order, self.columns = embeddings, [], []
        self.offset = table_offset
        widths = sorted({f["width"] for f in features if f["kind"] in ("hash", "vocabulary")})
        self.by_width = {w: [k for k, f in enumerate(features) if f["kind"] in ("hash", "vocabulary") and f["width"] == w] for w in widths}
        self.sequences = [k for k, f in enumerate(features) if f["kind"] == "sequence"]
        self.numbers = [k for k, f in enumerate(features) if f["kind"] == "numeric"]
        for k in [k for w in widths for k in self.by_width[w]] + self.sequences + self.numbers:
            self.columns += range(features[k]["offset"], features[k]["offset"] + features[k]["width"])
        self.features = features

    def prepare(self, decoded):
        """Feature arrays of a batch -> what forward reads."""
        parts = [("rows", w, torch.stack([decoded[k] + self.offset[self.features[k]["table"]] for k in ks], 1)) for w, ks in self.by_width.items()]
        for k in self.sequences:
            starts, rows = decoded[k]
            parts.append(("bag", self.features[k]["width"], (rows + self.offset[self.features[k]["table"]], starts[:-1].contiguous())))
        if self.numbers:
            parts.append(("numbers", 0, torch.stack([decoded[k] for k in self.numbers], 1)))
        return parts

    def forward(self, parts):
        matrices = []
        for kind, width, value in parts:
            if kind == "rows":
                matrices.append(self.embeddings[str(width)](value).flatten(1))
            elif kind == "bag":
                matrices.append(functional.embedding_bag(value[0], self.embeddings[str(width)].weight, value[1], mode="mean", sparse=True))
            else:
                matrices.append(value)
        return matrices[0] if len(matrices) == 1 else torch.cat(matrices, 1)


class Student(nn.Module):
    def __init__(self, w, folder):
        super().__init__()
        tables = w["tables"]
        widths = sorted({t["width"] for t in tables})
        offset, rows_of = {}, {width: 0 for width in widths}
        for i, t in enumerate(tables):
            offset[i] = rows_of[t["width"]]
            rows_of[t["width"]] += t["rows"]
        self.embeddings = nn.ModuleDict({str(width): nn.Embedding(rows_of[width], width, sparse=True) for width in widths})
        with torch.no_grad():
            path = os.path.join(folder, "rows.bin")
            if os.path.exists(path):
                rows, at = torch.frombuffer(bytearray(open(path, "rb").read()), dtype=torch.float32), 0
                for i, t in enumerate(tables):
                    n = t["rows"] * t["width"]
                    self.embeddings[str(t["width"])].weight[offset[i]:offset[i] + t["rows"]] = rows[at:at + n].view(t["rows"], t["width"])
                    at += n
            else:
                for e in self.embeddings.values():
                    e.weight.uniform_(-0.05, 0.05)
        self.user, self.item, self.live = (Lookup(w[g], self.embeddings, offset) for g in ("user", "item", "live"))
        dense, at, self.layers = torch.frombuffer(bytearray(open(os.path.join(folder, "dense.bin"), "rb").read()), dtype=torch.float32), 0, nn.ModuleDict()
        for layer in w["layers"]:
            n = layer["inputs"] * layer["outputs"]
            linear = nn.Linear(layer["inputs"], layer["outputs"], bias=layer["bias"])
            weight = dense[at:at + n].view(layer["outputs"], layer["inputs"])
            if layer["name"] in ("user", "item", "live"):
                weight = weight[:, getattr(self, layer["name"]).columns]
            with torch.no_grad():
                linear.weight.copy_(weight)
                at += n
                if layer["bias"]:
                    linear.bias.copy_(dense[at:at + layer["outputs"]])
                    at += layer["outputs"]
            self.layers[layer["name"]] = linear
        self.hidden = [self.layers[l["name"]] for l in w["layers"] if l["name"].startswith("hidden")]
        self.impressions, self.candidates = w["impressions"], w["candidates"]

    def forward(self, batch):
        user, item, live = self.layers["user"](self.user(batch["user"])), self.layers["item"](self.item(batch["item"])), self.layers["live"](self.live(batch["live"]))
        h = (item.view(self.impressions, self.candidates, -1) + user.unsqueeze(1)).view(len(item), -1).add_(live).relu_()
        for layer in self.hidden:
            h = layer(h).relu_()
        return self.layers["output"](h).squeeze(1)


def batches_of(w, student, folder):
    data, at = bytearray(open(os.path.join(folder, "batches.bin"), "rb").read()), 0

    def take(count, dtype):
        nonlocal at
        size = 8 if dtype == torch.int64 else 4
        values = torch.frombuffer(data, dtype=dtype, count=count, offset=at).clone() if count else torch.empty(0, dtype=dtype)
        at += count * size
        return values

    users, n = w["impressions"], w["impressions"] * w["candidates"]
    for lengths in w["batches"]:
        batch = {}
        for group, rows in (("user", users), ("item", n), ("live", n)):
            decoded = []
            for k, f in enumerate(w[group]):
                if f["kind"] == "numeric":
                    decoded.append(take(rows, torch.float32))
                elif f["kind"] == "sequence":
                    decoded.append((take(rows + 1, torch.int64), take(lengths[k], torch.int64)))
                else:
                    decoded.append(take(rows, torch.int64))
            batch[group] = getattr(student, group).prepare(decoded)
        batch["labels"], batch["log_q"], batch["teacher"] = take(n, torch.float32), take(n, torch.float32), take(n, torch.float32)
        yield batch


def loss_of(w, logits, batch):
    corrected = logits - batch["log_q"]
    hard = (functional.softplus(corrected) - corrected * batch["labels"]).mean()
    shape = (w["impressions"], w["candidates"])
    target = functional.softmax(batch["teacher"].view(shape), 1)
    listwise = -(functional.log_softmax(logits.view(shape), 1) * target).sum() / w["impressions"]
    pointwise = (functional.softplus(logits) - torch.sigmoid(batch["teacher"]) * logits).mean()
    return w["hard_weight"] * hard + w["listwise_weight"] * listwise + w["pointwise_weight"] * pointwise


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--optimizer", choices=["adagrad", "sparse_adam"], default="adagrad")
    parser.add_argument("--losses", action="store_true", help="print every step's loss")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with open(os.path.join(options.folder, "workload.json")) as f:
        w = json.load(f)
    student = Student(w, options.folder)
    batches = list(batches_of(w, student, options.folder))
    dense = torch.optim.Adam(student.layers.parameters(), lr=w["dense_learning_rate"])
    tables = student.embeddings.parameters()
    rows = (torch.optim.Adagrad(tables, lr=w["row_learning_rate"], initial_accumulator_value=w["row_initial_accumulator"], eps=1e-8)
            if options.optimizer == "adagrad" else torch.optim.SparseAdam(list(tables), lr=w["row_learning_rate"]))
    losses, times = [], []
    for step in range(options.steps):
        batch = batches[step % len(batches)]
        begin = time.perf_counter()
        loss = loss_of(w, student(batch), batch)
        loss.backward()
        dense.step()
        rows.step()
        dense.zero_grad(set_to_none=True)
        rows.zero_grad(set_to_none=True)
        value = loss.item()
        times.append(time.perf_counter() - begin)
        losses.append(value)
    print(json.dumps({"step_ms": statistics.median(times[len(times) // 5:]) * 1e3, "losses": losses if options.losses else losses[-1:]}))


if __name__ == "__main__":
    main()
