"""Distributed checkpoints, DeepSpeed's folders, numpy's arrays and GGUF, beside their own libraries."""

import json
import os

import formats_more as fixtures
import gguf
import numpy
import pytest
import torch
import torch.distributed.checkpoint as dcp
import torch.multiprocessing as multiprocessing
from compare import assert_equal
from harness import FIXTURES, ckpt
from torch.distributed.checkpoint.format_utils import dcp_to_torch_save

MORE = FIXTURES / "formats_more"
DTYPES = [torch.float32, torch.float64, torch.float16, torch.int64, torch.uint8, torch.bool, torch.complex64]


def state(seed):
    torch.manual_seed(seed)
    made = {"model": fixtures.generate.Block().state_dict(), "step": seed, "names": ["a", "b"]}
    made["odd"] = {f"part{n}": (torch.rand(n, 3, 5) * 9).to(dtype) for n, dtype in enumerate(DTYPES)}
    made["views"] = {"turned": torch.rand(4, 6).t(), "column": torch.rand(4, 6)[:, 1], "scalar": torch.rand(())}
    made["list"] = [torch.rand(3), {"x": torch.rand(2)}, 7]
    return made


def plain_dicts(value):
    """As a distributed checkpoint holds it: dicts of text keys, tensors as they are worth."""
    if isinstance(value, dict):
        return {str(key): plain_dicts(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [plain_dicts(inner) for inner in value]
    return value.detach().clone() if isinstance(value, torch.Tensor) else value


def same(left, right):
    """Equal values; strides and sharing are not a distributed checkpoint's matter."""
    assert type(left) is type(right), (type(left), type(right))
    if isinstance(left, dict):
        assert set(left) == set(right), set(left) ^ set(right)
        for key in left:
            same(left[key], right[key])
    elif isinstance(left, list):
        assert len(left) == len(right)
        for a, b in zip(left, right):
            same(a, b)
    elif isinstance(left, torch.Tensor):
        assert left.dtype == right.dtype and torch.equal(left, right), left
    else:
        assert left == right, (left, right)


@pytest.mark.parametrize("seed", range(3))
def test_distributed_read(folder, seed):
    """What PyTorch saves is read."""
    original, saved = state(seed), folder / "saved"
    dcp.save(original, checkpoint_id=saved)
    ckpt("rewrite", saved, "-o", folder / "read.pt", "--force")
    same(plain_dicts(original), torch.load(folder / "read.pt", weights_only=True))


@pytest.mark.parametrize("seed", range(3))
def test_distributed_written(folder, seed):
    """What is written, PyTorch loads."""
    original, source, written = state(seed), folder / "source.pt", folder / "written.dcp"
    torch.save(original, source)
    ckpt("rewrite", source, "-o", written)
    dcp_to_torch_save(written, folder / "whole.pt")
    same(plain_dicts(original), torch.load(folder / "whole.pt", weights_only=False))
    # Into a module's own state dict, as training goes on.
    other = fixtures.generate.Block()
    target = {"model": other.state_dict(), "step": -1}
    dcp.load(target, checkpoint_id=written)
    assert target["step"] == seed
    for key, value in other.state_dict().items():
        assert torch.equal(value, original["model"][key]), key


def rank(number, count, port, folder):
    import torch.distributed as distributed
    from torch.distributed.fsdp import fully_shard
    from torch.distributed.tensor import DTensor, Shard, distribute_tensor

    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "RANK": str(number), "WORLD_SIZE": str(count)}
    distributed.init_process_group("gloo")
    mesh = distributed.device_mesh.init_device_mesh("cpu", (count,))
    whole = torch.load(f"{folder}/whole.pt", weights_only=True)
    target = {key: distribute_tensor(torch.zeros_like(value), mesh, [Shard(min(value.ndim - 1, key == "columns"))])
              for key, value in whole.items()}  # fmt: skip
    dcp.load(target, checkpoint_id=f"{folder}/written.dcp")
    for key, value in target.items():
        assert torch.equal(value.full_tensor(), whole[key]), key
    # A module that FSDP has sharded.
    model = torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.Linear(5, 3))
    fully_shard(model, mesh=mesh)
    weights = model.state_dict()
    assert all(isinstance(value, DTensor) for value in weights.values())
    dcp.load(weights, checkpoint_id=f"{folder}/module.dcp")
    wanted = torch.load(f"{folder}/module.pt", weights_only=True)
    for key, value in weights.items():
        assert torch.equal(value.full_tensor(), wanted[key]), key
    # And what the two of them save is read again.
    dcp.save({"again": target}, checkpoint_id=f"{folder}/again")
    distributed.destroy_process_group()


def test_distributed_sharded(folder):
    """Two processes on loopback: plain checkpoints go into sharded state dicts, and come back."""
    whole = {"rows": torch.rand(7, 4), "columns": torch.rand(3, 9), "few": torch.rand(1, 2)}
    torch.save(whole, folder / "whole.pt")
    module = torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.Linear(5, 3))
    torch.save(module.state_dict(), folder / "module.pt")
    ckpt("rewrite", folder / "whole.pt", "-o", folder / "written.dcp")
    ckpt("rewrite", folder / "module.pt", "-o", folder / "module.dcp")
    multiprocessing.spawn(rank, (2, 29713, folder), nprocs=2)
    ckpt("rewrite", folder / "again", "-o", folder / "again.pt")
    same({"again": whole}, torch.load(folder / "again.pt", weights_only=True))


@pytest.mark.parametrize("name", ["zero1", "zero2", "zero2_padded", "zero3"])
def test_deepspeed(folder, name):
    """The folders of the fixtures, beside what DeepSpeed's own script made of them."""
    ckpt("rewrite", MORE / name, "-o", folder / f"{name}.pt")
    loaded = torch.load(folder / f"{name}.pt", weights_only=True)
    assert fixtures.account(loaded) == json.loads((MORE / f"{name}.json").read_text())


def arrays(seed):
    random = numpy.random.default_rng(1 + seed)
    made = {
        f"a.{name}.{seed}": (random.normal(size=random.integers(0, 5, size=seed)) * 50).astype(order + name)
        for name in "f2 f4 f8 i1 i2 i4 i8 b1 c8 c16 u1 u4".split()
        for order in "<>"[seed % 2]
    }
    made["turned"] = numpy.asfortranarray(random.normal(size=(3, 4)))
    return made


@pytest.mark.parametrize("seed", range(4))
def test_npz(folder, seed):
    """numpy reads what is written, and what it saves is read."""
    made = arrays(seed)
    for save in (numpy.savez, numpy.savez_compressed):
        save(folder / "made.npz", **made)
        ckpt("convert", folder / "made.npz", "-o", folder / "read.pt", "--force")
        loaded = torch.load(folder / "read.pt", weights_only=True)
        assert list(loaded) == list(made)
        for key, value in made.items():
            assert loaded[key].numpy().dtype == value.dtype.newbyteorder("="), key
            assert numpy.array_equal(loaded[key].numpy(), value), key
        ckpt("convert", folder / "read.pt", "-o", folder / "written.npz", "--force")
        again = numpy.load(folder / "written.npz")
        assert again.files == list(made)
        for key, value in made.items():
            assert again[key].dtype == value.dtype.newbyteorder("<") or value.itemsize == 1, key
            assert numpy.array_equal(again[key], value), key


@pytest.mark.parametrize("seed", range(4))
def test_npy(folder, seed):
    value = arrays(seed)["turned"] if seed else numpy.array(seed + 0.5)
    numpy.save(folder / "one.npy", value)
    ckpt("convert", folder / "one.npy", "-o", folder / "again.npy", "--force")
    assert numpy.array_equal(numpy.load(folder / "again.npy"), value)
    numpy.save(folder / "one.npy", numpy.ascontiguousarray(value).reshape(value.shape))
    assert (folder / "one.npy").read_bytes() == (folder / "again.npy").read_bytes(), "not numpy's bytes"


def test_gguf_written(folder):
    """gguf reads what is written."""
    state_dict = {f"block.{n}.weight": torch.randn(shape).to(dtype) for n, (shape, dtype) in enumerate([
        ((3,), torch.float32), ((2, 5), torch.float16), ((2, 3, 4), torch.bfloat16), ((1, 2, 3, 4), torch.float64),
        ((4,), torch.int8), ((4, 2), torch.int32), ((), torch.int64), ((7, 7), torch.int16)])}  # fmt: skip
    torch.save(state_dict, folder / "made.pt")
    ckpt("convert", folder / "made.pt", "-o", folder / "made.gguf")
    reader = gguf.GGUFReader(folder / "made.gguf")
    assert [tensor.name for tensor in reader.tensors] == list(state_dict)
    for tensor in reader.tensors:
        value = state_dict[tensor.name]
        assert tuple(reversed(tensor.shape.tolist())) == tuple(value.shape), tensor.name
        assert tensor.data.tobytes() == fixtures.generate.raw_bytes(value), tensor.name
    ckpt("convert", folder / "made.gguf", "-o", folder / "back.pt")
    assert_equal(state_dict, dict(torch.load(folder / "back.pt", weights_only=True)))


def quantized_file(folder, kind, raw):
    writer = gguf.GGUFWriter(folder / "q.gguf", "llama")
    writer.add_tensor("w", raw, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def check_renamed(folder, kind, raw):
    """Blocks go from one file to the other as they are."""
    ckpt("rename-keys", folder / "q.gguf", "--add-prefix", "model.", "-o", folder / "r.gguf", "--force")
    reader = gguf.GGUFReader(folder / "r.gguf")
    (tensor,) = reader.tensors
    assert tensor.name == "model.w" and tensor.tensor_type == kind
    assert tensor.data.tobytes() == raw.tobytes()
    assert reader.get_field("general.architecture").contents() == "llama"


@pytest.mark.parametrize("name", "Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2_K Q3_K Q4_K Q5_K Q6_K".split())
def test_gguf_quantized(folder, name):
    """Quantized tensors are what gguf makes of them."""
    kind, random = gguf.GGMLQuantizationType[name], numpy.random.default_rng(2)
    size, count = gguf.GGML_QUANT_SIZES[kind]
    rows = 40
    if kind.name in ("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"):
        raw = gguf.quants.quantize(random.normal(size=(rows, 1024)).astype("f4"), kind)
    else:
        raw = random.integers(0, 256, size=(rows, 1024 // size * count), dtype="u1")
    quantized_file(folder, kind, raw)
    ckpt("convert", folder / "q.gguf", "-o", folder / "q.safetensors", "--force", status=65)
    check_renamed(folder, kind, raw)
    ckpt("convert", folder / "q.gguf", "--dequantize", "-o", folder / "q.pt", "--force")
    found = torch.load(folder / "q.pt", weights_only=True)["w"].numpy()
    with numpy.errstate(all="ignore"):
        wanted = gguf.quants.dequantize(raw, kind)
    assert numpy.array_equal(found, wanted, equal_nan=True)
    bits = ~numpy.isnan(wanted)
    assert (found.view("u4")[bits] == wanted.view("u4")[bits]).all()


@pytest.mark.parametrize("name", "IQ4_XS IQ2_S TQ1_0 Q8_K".split())
def test_gguf_kept(folder, name):
    kind, random = gguf.GGMLQuantizationType[name], numpy.random.default_rng(2)
    size, count = gguf.GGML_QUANT_SIZES[kind]
    raw = random.integers(0, 256, size=(3, 512 // size * count), dtype="u1")
    quantized_file(folder, kind, raw)
    check_renamed(folder, kind, raw)


BAD = json.loads((MORE / "bad" / "bad.json").read_text())


@pytest.mark.parametrize("case", BAD, ids=[case["file"] for case in BAD])
def test_bad_file(folder, case):
    """Damaged files: one line, status 65."""
    error = ckpt("convert", MORE / "bad" / case["file"], "-o", folder / "out.pt", status=65)
    lines = error.splitlines()
    assert lines[0].startswith("ckpt: error: ") and len(lines) <= 2, error
    assert case["says"] in error, error
    assert not (folder / "out.pt").exists()
