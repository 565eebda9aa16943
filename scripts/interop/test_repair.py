"""`ckpt repair`: files cut off at 200 places and files with a wrong byte, judged by PyTorch and the formats' own
libraries. Which tensors are complete in a cut file is found by their bytes in the whole file, which are random."""

import collections
import concurrent.futures
import json
import pathlib
import subprocess
import tempfile
import zipfile

import gguf
import numpy
import pytest
import safetensors.torch
import torch

import harness

CUTS = 200


def repair(source, out, *options):
    """Runs the command; gives its status and its report, or its error."""
    done = subprocess.run(
        [harness.CKPT, "repair", str(source), "-o", str(out), "--force", "--json", *options],
        capture_output=True, text=True,
    )
    if done.returncode in (0, 1):
        return done.returncode, json.loads(done.stdout)
    assert done.returncode == 65, f"status {done.returncode}: {done.stderr[:500]}"
    assert done.stderr.startswith("ckpt: error: ") and len(done.stderr.splitlines()) <= 2, done.stderr
    return 65, done.stderr


def bits(tensor):
    return tensor.detach().contiguous().view(-1).view(torch.uint8).numpy().tobytes()


def leaves(value, path=()):
    """All values that are no containers, by their paths."""
    if isinstance(value, dict):
        return {leaf: at for key, inner in value.items() for leaf, at in leaves(inner, path + (key,)).items()}
    if isinstance(value, (list, tuple)):
        return {leaf: at for key, inner in enumerate(value) for leaf, at in leaves(inner, path + (key,)).items()}
    return {path: value}


def same(one, other):
    if isinstance(one, torch.Tensor):
        return (
            isinstance(other, torch.Tensor) and one.dtype == other.dtype and one.shape == other.shape
            and bits(one) == bits(other)
        )
    return type(one) is type(other) and one == other


def sized(*shape, dtype=torch.float32):
    """A random tensor."""
    if dtype.is_floating_point:
        return torch.randn(*shape).to(dtype)
    return torch.randint(-100, 100, shape).to(dtype)


def weights():
    """A state dict with tensors of many sizes."""
    state = collections.OrderedDict()
    for layer in range(12):
        state[f"layers.{layer}.weight"] = sized(24 + 5 * (layer % 7), 16)
        state[f"layers.{layer}.bias"] = sized(24 + layer, dtype=[torch.float32, torch.float16, torch.bfloat16][layer % 3])
        state[f"layers.{layer}.steps"] = sized(2, dtype=torch.int64)
    return state


def training():
    """A training checkpoint, as scripts write it."""
    model = weights()
    moments = {
        number: {"step": torch.tensor(7.5 + number), "exp_avg": torch.randn_like(value.float())}
        for number, value in enumerate(value for key, value in model.items() if "weight" in key)
    }
    return {
        "epoch": 7, "best": 0.875, "arch": "net", "state_dict": model,
        "optimizer": {"state": moments, "param_groups": [{"lr": 0.1, "betas": (0.9, 0.99), "params": list(moments)}]},
        "classes": ["a", "b"],
    }


def ends(content, value):
    """The offset in the whole file behind each tensor's last byte."""
    found = {}
    for path, leaf in leaves(value).items():
        if isinstance(leaf, torch.Tensor):
            start = content.find(bits(leaf))
            assert start >= 0, path
            found[path] = start + len(bits(leaf))
    return found


def each(count, work):
    """Does the work for each number on the machine's processors; gives the sums of the returned counts."""
    total = collections.Counter()
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for counts in pool.map(work, range(count)):
            total.update(counts)
    return total


def judge(out, original, complete, thorough):
    """Checks an output: PyTorch opens it, each value is the original's, and all complete tensors are there."""
    for options in ({}, {"mmap": True})[: 2 if thorough else 1]:
        found = leaves(torch.load(out, weights_only=True, **options))
        whole = leaves(original)
        for path, leaf in found.items():
            assert path in whole and same(leaf, whole[path]), path
    kept = {path for path, leaf in found.items() if isinstance(leaf, torch.Tensor)}
    assert complete <= kept, sorted(complete - kept)[:3]
    others = {path for path, leaf in whole.items() if not isinstance(leaf, torch.Tensor)}
    assert zipfile.ZipFile(out).testzip() is None
    if thorough:
        subprocess.run(["unzip", "-tqq", out], check=True)
    return len(kept), others <= set(found)


def nested():
    """A state dict with a tensor of bytes that are an archive with the same names."""
    with tempfile.TemporaryDirectory() as place:
        torch.save(weights(), f"{place}/whole.pt")
        inner = pathlib.Path(f"{place}/whole.pt").read_bytes()
    state = weights()
    half = dict(list(state.items())[:30])
    return half | {"inner": torch.frombuffer(bytearray(inner), dtype=torch.uint8)} | dict(list(state.items())[30:])


def slices():
    """Tensors that are parts of few storages."""
    state = {}
    for number in range(3):
        storage = sized(6000)
        for part in range(20):
            state[f"{number}.{part}"] = storage[300 * part : 300 * (part + 1)].view(20, 15)
    return state


KINDS = {
    "slices": (slices, {}, 50),
    "weights": (weights, {}, CUTS),
    "training": (training, {}, CUTS),
    "nested": (nested, {}, 50),
    "legacy": (weights, {"_use_new_zipfile_serialization": False}, CUTS),
    "legacy training": (training, {"_use_new_zipfile_serialization": False}, 50),
}


@pytest.mark.parametrize("kind", KINDS)
def test_cut_files_of_pytorch(folder, kind):
    make, options, cuts = KINDS[kind]
    original = make()
    whole = folder / "whole.pt"
    torch.save(original, whole, **options)
    content = whole.read_bytes()
    last = ends(content, original)

    def cut(number):
        size = len(content) * number // cuts
        source, out = folder / f"cut{number}.pt", folder / f"out{number}.pt"
        source.write_bytes(content[:size])
        status, report = repair(source, out)
        complete = {path for path, end in last.items() if end <= size}
        if status == 65:
            assert not complete and not out.exists()
            return {"refused": 1}
        # Only the directory may be missing where all tensors are there.
        assert (status == 0) == (len(complete) == len(last)), report
        kept, all_others = judge(out, original, complete, thorough=number % 4 == 0)
        assert kept == len(complete), report
        assert all_others or not complete
        assert kept + len(report["lost"]) == len(last) or report["names_lost"]
        for file in (source, out):
            file.unlink()
        return {"repaired": 1, "complete": len(complete), "kept": kept}

    counts = each(cuts, cut)
    print(kind, dict(counts))
    assert counts["kept"] == counts["complete"] > 0


def test_zeros_in_place_of_missing_bytes(folder):
    original = training()
    whole = folder / "whole.pt"
    torch.save(original, whole)
    content = whole.read_bytes()
    last = ends(content, original)

    def cut(number):
        size = len(content) * (50 + number) // 100
        source, out = folder / f"cut{number}.pt", folder / f"out{number}.pt"
        source.write_bytes(content[:size])
        status, report = repair(source, out, "--partial", "zeros")
        found, whole = leaves(torch.load(out, weights_only=True)), leaves(original)
        assert found.keys() == whole.keys()
        filled = {entry["path"] for entry in report["filled"]}
        assert len(filled) == sum(end > size for end in last.values()) and not report["lost"]
        for path, leaf in found.items():
            if "/".join(map(str, path)) not in filled:
                assert same(leaf, whole[path]), path
                continue
            # The bytes up to the cut are the original's.
            one, other = bits(leaf), bits(whole[path])
            there = max(0, size - (last[path] - len(other)))
            assert one == other[:there] + bytes(len(other) - min(there, len(other))), path
        return {"filled": len(filled)}

    assert each(50, cut)["filled"] > 300


@pytest.mark.parametrize("make", [training, nested])
def test_a_wrong_byte_in_an_archive(folder, make):
    original = make()
    whole = folder / "whole.pt"
    torch.save(original, whole)
    content = whole.read_bytes()
    random = numpy.random.default_rng(1)
    # Evenly over the file, and over the pickle, the headers and the directory.
    places = [len(content) * number // 100 for number in range(100)]
    places += [int(place) for place in random.integers(0, 8_000, 60)]
    places += [len(content) - 1 - int(place) for place in random.integers(0, 4_000, 40)]
    changes = [int(change) for change in random.integers(1, 256, len(places))]
    count = sum(isinstance(leaf, torch.Tensor) for leaf in leaves(original).values())

    def flip(number):
        damaged = bytearray(content)
        damaged[places[number]] ^= changes[number]
        source, out = folder / f"bad{number}.pt", folder / f"out{number}.pt"
        source.write_bytes(damaged)
        status, report = repair(source, out)
        if status == 65:
            return {"refused": 1}
        kept, all_others = judge(out, original, set(), thorough=number % 10 == 0)
        assert all_others
        assert kept + len(report["lost"]) == count, report
        assert kept >= count - 1, report
        assert (status == 0) == (kept == count)
        for file in (source, out):
            file.unlink()
        return {"repaired": 1, "kept": kept, "all": count}

    counts = each(len(places), flip)
    print(make.__name__, dict(counts))
    assert counts["refused"] == 0


def test_bytes_overwritten_in_an_archive(folder):
    """A bad sector: 512 bytes are zeros or other bytes."""
    original = training()
    whole = folder / "whole.pt"
    torch.save(original, whole)
    content = whole.read_bytes()
    other = numpy.random.default_rng(2).bytes(512)

    def overwrite(number):
        place = len(content) * number // 100
        damaged = bytearray(content)
        damaged[place : place + 512] = other if number % 2 else bytes(min(512, len(content) - place))
        source, out = folder / f"bad{number}.pt", folder / f"out{number}.pt"
        source.write_bytes(damaged)
        status, report = repair(source, out)
        if status == 65:
            return {"refused": 1}
        kept, all_others = judge(out, original, set(), thorough=False)
        assert all_others
        return {"repaired": 1, "kept": kept}

    counts = each(100, overwrite)
    print(dict(counts))
    # Only damage to the pickle leaves nothing.
    assert counts["refused"] <= 100 * 8_000 // len(content) + 3


def test_what_may_be_damaged_is_kept_on_request(folder):
    original = weights()
    torch.save(original, folder / "whole.pt")
    content = (folder / "whole.pt").read_bytes()
    source, out = folder / "bad.pt", folder / "out.pt"
    key = "layers.5.weight"
    damaged = bytearray(content)
    damaged[content.find(bits(original[key])) + 100] ^= 4
    source.write_bytes(damaged)
    status, report = repair(source, out)
    assert status == 1 and [entry["path"] for entry in report["lost"]] == [key]
    assert torch.load(out, weights_only=True).keys() == original.keys() - {key}
    status, report = repair(source, out, "--unverified")
    assert status == 1 and [entry["path"] for entry in report["unverified"]] == [key] and not report["lost"]
    found = torch.load(out, weights_only=True)
    assert found.keys() == original.keys()
    assert all(same(value, original[name]) == (name != key) for name, value in found.items())
    assert (found[key] != original[key]).sum() == 1
    # Of a damaged pickle, the entries before the damage.
    damaged = bytearray(content)
    place = content.find(b"layers.6.weight")
    damaged[place - 20 : place + 40] = b"\xff" * 60
    source.write_bytes(damaged)
    status, error = repair(source, folder / "none.pt")
    assert status == 65 and "--unverified" in error and not (folder / "none.pt").exists()
    status, report = repair(source, out, "--unverified")
    assert status == 1 and report["names_lost"]
    found = torch.load(out, weights_only=True)
    assert 12 <= len(found) <= 18 and all(same(value, original[name]) for name, value in found.items())


def test_cut_safetensors(folder):
    original = dict(weights())
    whole = folder / "whole.safetensors"
    safetensors.torch.save_file(original, whole, {"format": "pt", "note": "x"})
    content = whole.read_bytes()
    last = ends(content, original)
    start = 8 + int.from_bytes(content[:8], "little")

    def cut(number):
        size = len(content) * number // CUTS
        source, out = folder / f"cut{number}.safetensors", folder / f"out{number}.safetensors"
        source.write_bytes(content[:size])
        status, report = repair(source, out)
        complete = {path for path, end in last.items() if end <= size}
        if status == 65:
            assert not complete
            return {"refused": 1}
        assert status == 1
        found = safetensors.torch.load_file(out)
        assert {(key,) for key in found} == complete
        assert all(same(value, original[key]) for key, value in found.items())
        with safetensors.safe_open(out, "pt") as file:
            assert file.metadata()["note"] == "x"
        assert len(report["lost"]) == len(original) - len(complete)
        return {"repaired": 1, "complete": len(complete)}

    counts = each(CUTS, cut)
    print(dict(counts))
    assert counts["complete"] > 0
    # Bytes behind the data are left out, and nothing is lost.
    longer = folder / "longer.safetensors"
    longer.write_bytes(content + b"<html>")
    status, report = repair(longer, folder / "out.safetensors")
    assert status == 0 and not report["intact"] and report["problems"]
    assert (folder / "out.safetensors").read_bytes()[start:] == content[start:]


def test_cut_gguf(folder):
    whole = folder / "whole.gguf"
    writer = gguf.GGUFWriter(whole, "llama")
    writer.add_uint32("x.count", 12)
    original = {}
    for number in range(40):
        value = numpy.random.randn(8, 64 + 32 * (number % 5)).astype(numpy.float32)
        if number % 3 == 0:
            kind = gguf.GGMLQuantizationType.Q8_0
            value = gguf.quantize(value, kind)
            writer.add_tensor(f"blk.{number}.weight", value, raw_dtype=kind)
        else:
            writer.add_tensor(f"blk.{number}.weight", value)
        original[f"blk.{number}.weight"] = value.tobytes()
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    content = whole.read_bytes()
    last = {key: content.find(value) + len(value) for key, value in original.items()}

    def cut(number):
        size = len(content) * number // CUTS
        source, out = folder / f"cut{number}.gguf", folder / f"out{number}.gguf"
        source.write_bytes(content[:size])
        status, report = repair(source, out)
        complete = {key for key, end in last.items() if end <= size}
        if status == 65:
            assert not complete
            return {"refused": 1}
        read = gguf.GGUFReader(out)
        assert {tensor.name for tensor in read.tensors} == complete
        for tensor in read.tensors:
            assert tensor.data.tobytes() == original[tensor.name], tensor.name
        assert read.fields["x.count"].parts[-1][0] == 12
        assert (status == 0) == (len(complete) == len(original)), report
        assert len(report["lost"]) == len(original) - len(complete)
        return {"repaired": 1, "complete": len(complete)}

    counts = each(CUTS, cut)
    print(dict(counts))
    assert counts["complete"] > 0


@pytest.mark.parametrize("save", [numpy.savez, numpy.savez_compressed])
def test_cut_npz(folder, save):
    arrays = {f"a{number}": numpy.random.randn(20 + number, 9) for number in range(30)}
    whole = folder / "whole.npz"
    save(whole, **arrays)
    content = whole.read_bytes()
    with zipfile.ZipFile(whole) as archive:
        last = {}
        for info in archive.infolist():
            fixed = content[info.header_offset : info.header_offset + 30]
            start = info.header_offset + 30 + sum(int.from_bytes(fixed[at : at + 2], "little") for at in (26, 28))
            last[info.filename[:-4]] = start + info.compress_size

    def cut(number):
        size = len(content) * number // 50
        source, out = folder / f"cut{number}.npz", folder / f"out{number}.npz"
        source.write_bytes(content[:size])
        status, report = repair(source, out)
        complete = {key for key, end in last.items() if end <= size}
        if status == 65:
            assert not complete
            return {"refused": 1}
        found = numpy.load(out)
        assert set(found.files) == complete, report
        assert all(found[key].tobytes() == arrays[key].tobytes() for key in found.files)
        return {"complete": len(complete)}

    assert each(50, cut)["complete"] > 0


@pytest.mark.parametrize("ending", ["safetensors", "bin"])
def test_missing_and_cut_shards(folder, ending):
    state = weights()
    names = [f"model-0000{number}-of-00004.{ending}" for number in range(1, 5)]
    index = {}
    for number, name in enumerate(names):
        part = {key: value for position, (key, value) in enumerate(state.items()) if position % 4 == number}
        index.update({key: name for key in part})
        if ending == "bin":
            torch.save(part, folder / name)
        else:
            safetensors.torch.save_file(part, folder / name)
    place = folder / f"model.{ending}.index.json"
    place.write_text(json.dumps({"metadata": {}, "weight_map": index}))
    (folder / names[1]).unlink()
    third = folder / names[2]
    content = third.read_bytes()
    third.write_bytes(content[: len(content) * 2 // 3])
    for source in (place, folder):
        status, report = repair(source, folder / "out.pt")
        assert status == 1
        found = torch.load(folder / "out.pt", weights_only=True)
        assert all(same(value, state[key]) for key, value in found.items())
        assert {key for key, name in index.items() if name in (names[0], names[3])} <= found.keys()
        assert any(names[1] in problem for problem in report["problems"])
        lost = {entry["path"] for entry in report["lost"]}
        assert lost == state.keys() - found.keys()
        assert {entry["path"] for entry in report["lost"] if names[1] in entry["reason"]} == {
            key for key, name in index.items() if name == names[1]
        }
    # Without the index, the missing shard is named, and its keys are unknown.
    place.unlink()
    status, report = repair(folder, folder / "more.pt")
    assert status == 1 and report["names_lost"]
    assert torch.load(folder / "more.pt", weights_only=True).keys() == found.keys()
    assert any(names[1] in problem for problem in report["problems"])


def test_sizes_that_lie(folder, launch):
    """Hostile archives: no crash, no more than 100 MB of memory, no endless work."""
    torch.save(weights(), folder / "whole.pt")
    content = (folder / "whole.pt").read_bytes()
    header = content[: content.index(b"data.pkl") + 8]
    many = header * (1_000_000 // len(header))
    sized = b"".join(
        b"PK\3\4\x14\0\0\0\0\0\0\0\0\0\1\2\3\4" + (1_000_000 - at).to_bytes(4, "little") * 2 + b"\3\0\0\0a/b"
        for at in range(0, 1_000_000, 33)
    )
    cases = {
        "headers": many, "sizes": sized, "descriptors": content[:5000] + b"PK\7\x08" * 250_000,
        "zeros": content[:20_000] + bytes(30_000_000), "signatures": b"PK\3\4" * 250_000,
    }
    for name, bad in cases.items():
        (folder / name).write_bytes(bad)
        status, memory, error = launch("repair", folder / name, "-o", folder / "out.pt", "--force")
        assert status in (1, 65), (name, status, error)
        assert memory < 100_000, (name, memory)


def test_an_intact_file_is_copied(folder):
    original = training()
    torch.save(original, folder / "a.pt")
    status, report = repair(folder / "a.pt", folder / "out.pt")
    assert status == 0 and report["intact"] and report["complete"] and not report["problems"]
    judge(folder / "out.pt", original, set(), thorough=True)
    (folder / "b.pt").write_bytes(b"no checkpoint" * 100)
    assert repair(folder / "b.pt", folder / "no.pt")[0] == 65
    assert not (folder / "no.pt").exists()
