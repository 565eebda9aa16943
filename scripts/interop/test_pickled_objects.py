"""Bare pickles, arrays of numpy's, tensors of other classes and plain data, each held against Python's own."""

import collections
import itertools
import pathlib
import pickle
import struct
import zipfile

import numpy
import pytest
import torch
from harness import ckpt
from safetensors.torch import load_file
from torchao.quantization import Int8WeightOnlyConfig, quantize_

PROTOCOLS = range(6)
DTYPES = ["f2", "f4", "f8", "c8", "c16", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"]


def arrays():
    """One array of each dtype, order of bytes and layout that PyTorch has an equal of."""
    random = numpy.random.default_rng(5)
    made = {}
    for kind, order in itertools.product(DTYPES, "<>"):
        dtype = numpy.dtype(order + kind)
        bits = random.integers(0, 256, 24 * dtype.itemsize, dtype=numpy.uint8)
        flat = (bits & 1).view(dtype) if kind == "b1" else bits.view(dtype)
        name = ("big." if order == ">" else "little.") + kind
        made[name] = flat.reshape(2, 3, 4)
        made[name + ".fortran"] = numpy.asfortranarray(flat.reshape(4, 6))
        made[name + ".strided"] = flat.reshape(4, 6)[:, ::2]
    made["scalar"] = numpy.array(7.5, dtype="float32")
    made["empty"] = numpy.zeros((0, 3), dtype="float32")
    made["long"] = random.integers(0, 256, 300_000, dtype=numpy.uint8)
    made["constant"] = numpy.frombuffer(bytes(range(200)), dtype=numpy.uint8)
    return made


def native(array):
    return torch.from_numpy(numpy.array(array.astype(array.dtype.newbyteorder("=")), order="C"))


def same_bits(left, right):
    assert left.dtype == right.dtype and left.shape == right.shape, (left.dtype, right.dtype, left.shape, right.shape)
    assert left.contiguous().view(-1).numpy().tobytes() == right.contiguous().view(-1).numpy().tobytes()


def same_tensors(got, want):
    assert list(got) == list(want), set(got) ^ set(want)
    for key in want:
        same_bits(got[key], want[key])


ARRAYS = arrays()
NATIVE = {key: native(value) for key, value in ARRAYS.items()}


@pytest.fixture(params=PROTOCOLS, ids=lambda protocol: f"protocol {protocol}")
def protocol(request):
    return request.param


@pytest.mark.parametrize("nested", [False, True], ids=["flat", "nested"])
class TestArrays:
    """pickle.dump of arrays, in all protocols: read, written as tensors, or kept as arrays."""

    @pytest.fixture
    def source(self, folder, protocol, nested):
        source = folder / f"arrays{protocol}{nested}.pkl"
        made = ARRAYS
        value = {"model": made, "author": "a zoo", "names": ["x"] * 50, "raw": b"\x80" * 500} if nested else made
        source.write_bytes(pickle.dumps(value, protocol))
        return source

    def test_read(self, folder, source, nested):
        want = NATIVE
        listed = ckpt("ls", source, "--json")
        assert listed["format"] == "pickle" and listed["at"] == ("model" if nested else "/"), listed["at"]
        assert {t["key"]: (t["dtype"], t["shape"]) for t in listed["tensors"]} == {
            k: (str(v.dtype).removeprefix("torch."), list(v.shape)) for k, v in want.items()
        }
        ckpt("verify", source)
        out = folder / "plain.pt"
        ckpt("filter", source, "--exclude", "zzz", "--plain", "--extract", "-o", out, "--force")
        same_tensors(torch.load(out, weights_only=True), want)

    def test_kept(self, folder, source, nested):
        made, want = ARRAYS, NATIVE
        out = folder / "kept.pt"
        ckpt("rename-keys", source, "--add-prefix", "x.", "-o", out, "--force")
        got = torch.load(out, weights_only=False)
        got = got["model"] if nested else got
        assert list(got) == ["x." + key for key in made]
        # numpy itself gives some arrays of the other byte order back in the machine's.
        original = pickle.loads(source.read_bytes())
        for key, array in (original["model"] if nested else original).items():
            other = got["x." + key]
            assert type(other) is numpy.ndarray and other.dtype == array.dtype, (key, type(other))
            assert other.tobytes() == array.tobytes() and other.shape == array.shape, key
        # And once more, from the archive.
        again = folder / "again.safetensors"
        small = ["--exclude", "complex", "--exclude", ".c16", "--exclude", ".c8"]
        ckpt("filter", out, *small, "--extract", "-o", folder / "less.pt", "--force")
        ckpt("convert", folder / "less.pt", "--drop-objects", "-o", again, "--force")
        found = load_file(again)
        for key, tensor in found.items():
            same_bits(tensor, want[key[2:]])


def test_bare_pickle_of_tensors(folder, protocol):
    torch.manual_seed(1)
    state = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 3), torch.nn.BatchNorm2d(3), torch.nn.Linear(40, 50)).state_dict()
    state["view"] = torch.arange(12.0).reshape(3, 4).t()
    state["bf16"] = torch.randn(5).bfloat16()
    source, out = folder / f"tensors{protocol}.pkl", folder / "tensors.pt"
    source.write_bytes(pickle.dumps(state, protocol))
    ckpt("convert", source, "-o", out, "--force")
    got = torch.load(out, weights_only=True)
    assert type(got) is collections.OrderedDict
    assert list(got) == list(state)
    for key in state:
        assert torch.equal(got[key], state[key]) and got[key].stride() == state[key].stride(), key


def test_arrays_that_no_tensor_can_be(folder):
    for name, value in [
        ("object", numpy.array([None, 1], dtype=object)), ("text", numpy.array(["a", "bc"])),
        ("structure", numpy.zeros(2, dtype=[("a", "f4"), ("b", "i4")])), ("time", numpy.zeros(2, dtype="M8[s]")),
    ]:
        source = folder / f"{name}.pkl"
        source.write_bytes(pickle.dumps({"w": numpy.ones(2), "x": value}))
        listed = ckpt("ls", source, "--json")
        assert [t["key"] for t in listed["tensors"]] == ["w"] and [o["key"] for o in listed["others"]] == ["x"]
        assert "x" in ckpt("convert", source, "-o", folder / "no.safetensors", status=65)


def kinds():
    """What PlainData meets, and what of it `torch.load(weights_only=True)` is to give; REFUSED, or ANYTHING that opens."""
    scalars = {
        f"{kind} scalar": (numpy.dtype(kind).type(3), 3 if kind[0] in "iu" else 3.0)
        for kind in ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"]
    }
    big = numpy.array([1.5], dtype=">f8")
    return {
        **scalars,
        "large uint64": (numpy.uint64(2**64 - 1), 2**64 - 1),
        "numpy bool": (numpy.bool_(True), True),
        "numpy str": (numpy.str_("äb"), "äb"),
        "numpy bytes": (numpy.bytes_(b"a\x00\xff"), b"a\x00\xff"),
        "numpy complex": (numpy.complex64(1 - 2j), 1 - 2j),
        "array": (numpy.arange(6.0).reshape(2, 3), torch.arange(6.0, dtype=torch.float64).reshape(2, 3)),
        "big-endian array": (big, torch.tensor([1.5], dtype=torch.float64)),
        "bytes": (b"\x00\xff", b"\x00\xff"),
        "no bytes": (b"", b""),
        "long bytes": (bytes(range(256)) * 3, bytes(range(256)) * 3),
        "bytearray": (bytearray(b"\x80x"), bytearray(b"\x80x")),
        "no bytearray": (bytearray(), bytearray()),
        "large int": (2**200, 2**200),
        "complex": (1 + 2j, 1 + 2j),
        "tuple": ((1, ("a", None)), (1, ("a", None))),
        "set": ({1, 2}, {1, 2}),
        "frozenset": (frozenset([1]), {1}),
        "surrogate": ("\ud800", "\ud800"),
        "long text": ("x" * 70000, "x" * 70000),
        "ordered": (collections.OrderedDict(a=1), collections.OrderedDict(a=1)),
        "counter": (collections.Counter(a=2), collections.Counter(a=2)),
        "size": (torch.Size([2, 3]), torch.Size([2, 3])),
        "dtype": (torch.float16, torch.float16),
        "bytes as key": ({b"\xff": 1}, {b"\xff": 1}),
        "path as key": ({pathlib.PurePosixPath("a/b"): 1}, {"a/b": 1}),
        "frozenset as key": ({frozenset([1]): 2}, REFUSED),
        "paths in a set": ({pathlib.PurePosixPath("a")}, {"a"}),
        "quantized": (torch.quantize_per_tensor(torch.arange(4.0), 0.5, 1, torch.qint8), ANYTHING),
        "sparse": (torch.eye(3).to_sparse(), ANYTHING),
        "nested": (torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]), None),
        "subclass": (torch.ones(2).as_subclass(Marked), torch.ones(2)),
        "subclass with attributes": (attributed(), REFUSED),
        "masked": (torch.masked.masked_tensor(torch.ones(2), torch.tensor([True, False])), REFUSED),
        "parameter": (torch.nn.Parameter(torch.ones(2)), ANYTHING),
        **{
            f"posix path {text!r}": (pathlib.PurePosixPath(text), text and str(pathlib.PurePosixPath(text)))
            for text in ["/", "//a/b", "///a", "a/./b", "/a//b/", "..", "./a", "a b", "ä"]
        },
        **{
            f"windows path {text!r}": (pathlib.PureWindowsPath(text), str(pathlib.PureWindowsPath(text)))
            for text in [
                "C:\\runs\\best.pt", "C:", "C:\\", "C:a", "\\\\host\\share\\x", "\\\\host\\share", "//host/share/a/b",
                "a/b\\c", "\\a", ".", "c:/A/../b", "..\\x", "a:b/c", "./a:b", "ä\\ö",
            ]
        },
    }


REFUSED, ANYTHING = object(), object()


class Marked(torch.Tensor):
    pass


def attributed():
    made = torch.ones(2).as_subclass(Marked)
    made.unit = "m"
    return made


def same_plain(got, want):
    if isinstance(want, torch.Tensor):
        assert type(got) is torch.Tensor and got.dtype == want.dtype and torch.equal(got, want), got
    else:
        assert type(got) is type(want) and got == want, (got, want)

KINDS = kinds()


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("name", KINDS)
def test_plain(folder, name, protocol):
    """For every kind of object and protocol: what --plain writes opens with weights_only=True as the same plain value, or
    the object is refused by its name."""
    value, want = KINDS[name]
    source, out = folder / "kind.pt", folder / "kind_plain.pt"
    try:
        # In protocol 0 PyTorch writes tensors that it cannot read.
        beside = {"w": torch.ones(1)} if protocol else {}
        torch.save({**beside, "thing": value}, source, pickle_protocol=protocol)
        torch.load(source, weights_only=False)
    except Exception:
        return
    if want is REFUSED:
        assert "thing" in ckpt("compact", source, "--plain", "-o", out, "--force", status=65)
        return
    ckpt("compact", source, "--plain", "-o", out, "--force")
    got = torch.load(out, weights_only=True)["thing"]
    if want is not ANYTHING:
        same_plain(got, want)


def python2_pickle():
    """Text and numbers as Python 2 wrote them, byte by byte."""

    def text(data):
        return b"U" + bytes([len(data)]) + data if len(data) < 256 else b"T" + struct.pack("<I", len(data)) + data

    def scalar(kind, order, data):
        dtype = (
            b"cnumpy\ndtype\n(" + text(kind) + b"K\x00K\x01tR(K\x03" + text(order) + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        )
        return b"cnumpy.core.multiarray\nscalar\n(" + dtype + text(data) + b"tR"

    def array(data):
        dtype = b"cnumpy\ndtype\n(" + text(b"f4") + b"K\x00K\x01tR(K\x03" + text(b"<") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        shape = b"K" + bytes([len(data) // 4]) + b"\x85"
        start = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85" + text(b"b") + b"tR"
        return start + b"(K\x01" + shape + dtype + b"\x89" + text(data) + b"tb"

    numbers = numpy.arange(100, dtype="<f4").tobytes()
    return b"\x80\x02}(" + b"".join(
        text(key) + value
        for key, value in [
            (b"best", scalar(b"f8", b"<", struct.pack("<d", 71.25))), (b"big", scalar(b"i4", b">", struct.pack(">i", -5))),
            (b"name", text("caf\u00e9".encode())), (b"raw", text(b"\x8c\xff\x00\x95")), (b"long", text(b"y" * 300)),
            (b"w", array(numbers)),
        ]
    ) + b"u."


@pytest.mark.parametrize("ending", ["pt", "pkl"])
def test_python2(folder, ending):
    source, root = folder / f"python2.{ending}", python2_pickle()
    if ending == "pt":
        with zipfile.ZipFile(source, "w") as z:
            z.writestr("x/data.pkl", root), z.writestr("x/version", "3\n"), z.writestr("x/byteorder", "little")
    else:
        source.write_bytes(root)
    out = folder / "python2_plain.pt"
    ckpt("compact", source, "--plain", "-o", out, "--force")
    got = torch.load(out, weights_only=True)
    same_bits(got.pop("w"), torch.arange(100.0))
    assert got == {"best": 71.25, "big": -5, "name": "caf\u00e9", "raw": b"\x8c\xff\x00\x95", "long": "y" * 300}, got


def quantized(seed, rows=32):
    torch.manual_seed(seed)
    made = torch.nn.Sequential(torch.nn.Linear(64, rows, bias=False)).bfloat16()
    quantize_(made, Int8WeightOnlyConfig())
    return {**made.state_dict(), "n": torch.ones(1)}


@pytest.fixture(scope="module")
def subclasses(shared_folder):
    """State dicts with tensors of other classes, and their files."""
    made = {"a": quantized(0), "same": quantized(0), "b": quantized(1), "wide": quantized(0, rows=48)}
    made["plain"] = {"0.weight": torch.randn(32, 64).bfloat16(), "n": torch.ones(1)}
    made["mask_a"] = {"0.weight": torch.masked.masked_tensor(torch.arange(3.0), torch.tensor([True, False, True])), "n": torch.ones(1)}
    made["mask_b"] = {"0.weight": torch.masked.masked_tensor(torch.arange(3.0), torch.tensor([True, True, True])), "n": torch.ones(1)}
    made["sparse_a"] = {"0.weight": torch.eye(3).to_sparse(), "n": torch.ones(1)}
    made["sparse_b"] = {"0.weight": (2 * torch.eye(3)).to_sparse(), "n": torch.ones(1)}
    made["extra_a"] = {"0.weight": {"version": 1}, "n": torch.ones(1)}
    made["extra_b"] = {"0.weight": {"version": 2}, "n": torch.ones(1)}
    path = {}
    for name, value in made.items():
        path[name] = shared_folder / f"{name}.pt"
        torch.save(value, path[name])
    return made, path


def test_subclasses_differ(subclasses):
    """What differs is told apart."""
    _, path = subclasses
    for left, right in [("a", "b"), ("a", "wide"), ("a", "plain"), ("mask_a", "mask_b"), ("sparse_a", "sparse_b"), ("extra_a", "extra_b")]:
        said = ckpt("diff", path[left], path[right], status=1, output=True)
        assert "0.weight" in said, said
    hashes = [ckpt("hash", path[name], "--json")["sha256"] for name in ["a", "b", "wide", "plain", "mask_a", "mask_b", "sparse_a", "sparse_b"]]
    assert len(set(hashes)) == len(hashes)


def test_subclasses_equal(subclasses):
    made, path = subclasses
    for name in made:
        ckpt("diff", path[name], path[name])
    ckpt("diff", path["a"], path["same"])
    assert ckpt("hash", path["a"], "--json")["sha256"] == ckpt("hash", path["same"], "--json")["sha256"]


def test_subclasses_checked(subclasses):
    """Shapes and dtypes count."""
    _, path = subclasses
    ckpt("check", path["b"], "--against", path["a"])
    for name in ["wide", "plain"]:
        assert "0.weight" in ckpt("check", path[name], "--against", path["a"], status=1, output=True)


def test_subclasses_told(subclasses):
    made, path = subclasses
    inner = made["a"]["0.weight"]
    rows = {row["key"]: row for row in ckpt("stats", path["a"], "--json")["tensors"]}
    (qdata,) = [row for key, row in rows.items() if key.startswith("0.weight/") and key.endswith("/qdata")]
    assert (qdata["min"], qdata["max"]) == (inner.qdata.min().item(), inner.qdata.max().item()), qdata
    other = ckpt("ls", path["a"], "--json")["others"][0]
    assert (other["dtype"], other["shape"]) == ("bfloat16", [32, 64]), other


def test_subclasses_refused(folder, subclasses):
    _, path = subclasses
    for name in ["a", "mask_a"]:
        out = folder / "refused.pt"
        assert "0.weight" in ckpt("compact", path[name], "--plain", "-o", out, status=65)
        assert not out.exists()
