"""Damage is found and named: one byte of a record is flipped, for every kind of archive, place, and command."""

import contextlib
import io
import json
import pickle
import shutil
import struct
import subprocess
import zipfile
import zlib

import harness
import numpy
import pytest
import torch
import torch.distributed.checkpoint as dcp
from harness import ckpt

TIED = torch.arange(12.0).reshape(3, 4)
FLAT = torch.linspace(-1, 1, 5000)


def state():
    """Storages in use wholly, in part, by several tensors and in another order; small and of several blocks."""
    return {
        "layers.0.weight": torch.linspace(-2, 2, 300 * 401).reshape(300, 401),
        "layers.0.bias": torch.linspace(0, 1, 300),
        "turned": torch.linspace(3, 4, 70 * 90).reshape(70, 90).t(),
        "part": FLAT[100:200],
        "numbers": torch.arange(64),
    }


class Source:
    """A checkpoint at `path`, the file `file` that is damaged, and the records in it: name, key, range of bytes."""

    deflated = False

    def __init__(self, path, file=None, start=0, end=None, key=None):
        self.path, self.file, self.records = path, file or path, []
        self.whole = self.file.read_bytes()
        self.add_records(start, len(self.whole) if end is None else end, key)

    def add_records(self, start, end, key=None):
        with zipfile.ZipFile(io.BytesIO(self.whole[start:end])) as archive:
            for info in archive.infolist():
                at = start + info.header_offset
                name, extra = struct.unpack("<HH", self.whole[at + 26:at + 30])
                at += 30 + name + extra
                self.deflated |= info.compress_type == zipfile.ZIP_DEFLATED
                if info.compress_size:
                    self.records.append((info.filename, key, range(at, at + info.compress_size)))

    @contextlib.contextmanager
    def flipped(self, position):
        with open(self.file, "r+b") as file:
            file.seek(position)
            file.write(bytes([self.whole[position] ^ 0x10]))
        yield
        with open(self.file, "r+b") as file:
            file.seek(position)
            file.write(self.whole[position:position + 1])

    def places(self):
        """The first byte, one in the middle and the last byte of every record; of a deflated one, those that matter:
        the bits behind the last number say nothing."""
        for name, key, span in self.records:
            for position in sorted({span[0], span[len(span) // 2], span[-1]}):
                if not self.inflates_to_the_same(name, position):
                    yield name, key, position

    def inflates_to_the_same(self, name, position):
        """Whether zipfile reads a deflated record with a flipped byte, and its checksum is right."""
        if not self.deflated:
            return False
        altered = bytearray(self.whole)
        altered[position] ^= 0x10
        try:
            with zipfile.ZipFile(io.BytesIO(altered)) as archive:
                return archive.read(name) is not None
        except (zipfile.BadZipFile, zlib.error, EOFError):
            return False


def zipped(folder):
    torch.save(state(), folder / "source.pt")
    return Source(folder / "source.pt")


def deflated(folder):
    torch.save(state(), folder / "stored.pt")
    with zipfile.ZipFile(folder / "stored.pt") as old, zipfile.ZipFile(
        folder / "source.pt", "w", zipfile.ZIP_DEFLATED
    ) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    return Source(folder / "source.pt")


def npz(folder):
    numpy.savez(folder / "source.npz", **{key: value.numpy() for key, value in state().items()})
    return Source(folder / "source.npz")


def npz_deflated(folder):
    arrays = {key: value.numpy() for key, value in state().items()}
    numpy.savez_compressed(folder / "source.npz", **arrays)
    return Source(folder / "source.npz")


def shards(folder):
    path = folder / "source"
    path.mkdir()
    tensors = state()
    names = {key: f"pytorch_model-0000{1 + (key == 'numbers')}-of-00002.bin" for key in tensors}
    for name in sorted(set(names.values())):
        torch.save({key: tensors[key] for key in names if names[key] == name}, path / name)
    (path / "pytorch_model.bin.index.json").write_text(json.dumps({"metadata": {}, "weight_map": names}))
    return Source(path, path / "pytorch_model-00001-of-00002.bin")


def distributed(folder):
    """An archive for every tensor and object, one after the other in one file."""
    path = folder / "source"
    dcp.save(state(), checkpoint_id=path, no_dist=True)
    index = dcp.FileSystemReader(path).read_metadata().storage_data
    found = None
    for key, place in index.items():
        start, end = place.offset, place.offset + place.length
        if found is None:
            found = Source(path, path / place.relative_path, start, end, key.fqn)
        else:
            assert found.file == path / place.relative_path
            found.add_records(start, end, key.fqn)
    return found


MAKERS = [zipped, deflated, npz, npz_deflated, shards, distributed]


def commands(path, other, out):
    """Calls by name; what each of them writes is compared."""
    return {
        "hash": ["hash", path, "--each"],
        "stats": ["stats", path, "--json"],
        "diff": ["diff", path, other, "--json"],
        "get": ["get", path, "--at", "numbers"],
        "to dtype": ["convert", path, "--to-dtype", "float16", "-o", f"{out}.pt"],
        "to safetensors": ["convert", path, "-o", f"{out}.safetensors"],
        "to npz": ["convert", path, "-o", f"{out}.npz"],
        "to gguf": ["convert", path, "-o", f"{out}.gguf"],
        "to distributed": ["convert", path, "-o", f"{out}.dcp"],
        "to zip": ["convert", path, "-o", f"{out}.pt"],
        "linear": ["merge", path, other, "--method", "linear", "--weights", "0.5,0.5", "-o", f"{out}.pt"],
        "update": ["merge", other, path, "--include", "layers", "-o", f"{out}.pt"],
        "compact": ["compact", path, "-o", f"{out}.pt"],
        "filter": ["filter", path, "--include", "bias", "--include", "part", "-o", f"{out}.pt"],
        "rename": ["rename-keys", path, "--add-prefix", "x.", "-o", f"{out}.pt"],
        "shard": ["shard", path, "--max-size", "200KB", "-o", f"{out}.folder/"],
    }


# What reads every tensor, so that no damage to one goes unseen.
READ_ALL = {
    "hash", "stats", "diff", "to dtype", "to safetensors", "to npz", "to gguf", "to distributed", "to zip", "linear",
    "compact", "rename", "shard",
}


def run(arguments, out):
    """The status, what was written, and the errors."""
    for old in out.parent.glob("out*"):
        shutil.rmtree(old) if old.is_dir() else old.unlink()
    done = subprocess.run([harness.CKPT, *map(str, arguments)], capture_output=True, text=True)
    written = {}
    for file in sorted(out.parent.glob("out*")):
        for part in sorted(file.rglob("*")) if file.is_dir() else [file]:
            if part.is_file():
                written[str(part)] = part.read_bytes()
    return done.returncode, done.stdout, written, done.stderr


@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_damage_is_never_laundered(folder, make):
    """With a flipped byte, every command fails and names the record, or gives what it gives without."""
    source, other, out = make(folder), folder / "other.pt", folder / "outputs" / "out"
    out.parent.mkdir()
    torch.save({key: value * 2 for key, value in state().items()}, other)
    calls = commands(source.path, other, out)
    if source.path.is_dir() and make is shards:
        calls["join"] = ["join", source.path, "-o", f"{out}.pt"]
    expected = {name: run(call, out) for name, call in calls.items()}
    for name, (status, _, _, error) in expected.items():
        assert status == (1 if name == "diff" else 0), (name, status, error)
    count = 0
    for record, _, position in source.places():
        with source.flipped(position):
            for name, call in calls.items():
                status, printed, written, error = run(call, out)
                where = f"{make.__name__}: {name}, {record}, byte {position}: {status} {error}"
                if status in (65, 74):
                    assert record in error, where
                    assert not written, where
                    count += 1
                else:
                    assert (status, printed, written) == expected[name][:3], where
                    is_tensor = "/data/" in record or record.endswith(".npy")
                    assert not is_tensor or name not in READ_ALL, where
    assert count > 50


@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_verify_names_the_key(folder, make):
    source = make(folder)
    assert ckpt("verify", source.path, "--json")["intact"]
    for record, key, position in source.places():
        with source.flipped(position):
            found = json.loads(ckpt("verify", source.path, "--json", status=1, output=True))["problems"]
            assert any(record in (problem.get("record") or problem["problem"]) for problem in found), (record, found)
            if key:
                assert {problem.get("key") for problem in found} == {key}, (record, key, found)
            elif record.endswith(".npy"):
                # Where the array's header is damaged, nothing is known of the array.
                assert {problem.get("key") for problem in found} <= {record.removesuffix(".npy"), None}, found
            elif "/data/" in record:
                assert all(problem.get("key") in state() for problem in found), found


def test_index_of_a_distributed_checkpoint(folder):
    """Places in .metadata that are wrong: another offset or length, a gap, an overlap, a missing file."""
    saved = folder / "saved"
    dcp.save({"model": state(), "epoch": 3}, checkpoint_id=saved, no_dist=True)
    assert ckpt("verify", saved, "--json")["problems"] == []
    reader = dcp.FileSystemReader(saved)
    file = saved / "__0_0.distcp"
    whole = file.read_bytes()

    def problems():
        return json.loads(ckpt("verify", saved, "--json", status=1, output=True))["problems"]

    # What belongs to nothing, at the end and in the middle.
    file.write_bytes(whole + b"more")
    assert [problem.get("key") for problem in problems()] == [None]
    file.write_bytes(whole[:-1])
    index = reader.read_metadata().storage_data
    last = max(index, key=lambda key: index[key].offset)
    assert {problem.get("key") for problem in problems()} - {None} == {last.fqn.replace("model.", "model/", 1)}
    file.write_bytes(whole)

    metadata = (saved / ".metadata").read_bytes()
    for change in ["offset", "length"]:
        for delta in [-1, 1, 64, 1 << 40]:
            for key in index:
                altered = pickle.loads(metadata)
                place = altered.storage_data[key]
                if change == "offset" and place.offset + delta < 0:
                    continue
                if change == "length" and place.length + delta < 0:
                    continue
                setattr(place, change, getattr(place, change) + delta)
                (saved / ".metadata").write_bytes(pickle.dumps(altered))
                found = problems()
                assert found, (change, delta, key)
    (saved / ".metadata").write_bytes(metadata)
    # A file of an older save is told of, and is no damage.
    shutil.copy(file, saved / "__1_0.distcp")
    assert ckpt("verify", saved, "--json")["unused_files"] == ["__1_0.distcp"]
    file.rename(folder / "elsewhere")
    assert any("__0_0.distcp" in problem["problem"] for problem in problems())


@pytest.mark.parametrize("save", [numpy.savez, numpy.savez_compressed])
def test_header_of_an_empty_array(folder, save):
    """The header of an array without elements is compared, too, although no element is read."""
    path, out = folder / "source.npz", folder / "outputs" / "out"
    out.parent.mkdir()
    save(path, empty=numpy.zeros((0, 3), "f4"))
    source = Source(path)
    calls = {"hash": ["hash", path], "to zip": ["convert", path, "-o", f"{out}.pt"]}
    assert all(run(call, out)[0] == 0 for call in calls.values())
    for name, _, span in source.records:
        for position in span:
            if source.inflates_to_the_same(name, position):
                continue
            with source.flipped(position):
                for command, call in calls.items():
                    status, *_, error = run(call, out)
                    assert status == 65, f"{command}, byte {position}: {status} {error}"


def test_scales_of_a_quantized_tensor(folder):
    """Scales and zero points are read when the file is opened."""
    tensor = torch.quantize_per_channel(
        torch.rand(20, 30), torch.linspace(0.1, 0.2, 20, dtype=torch.float64), torch.zeros(20, dtype=torch.int64), 0,
        torch.qint8)
    torch.save({"q": tensor, "plain": torch.rand(3)}, folder / "source.pt")
    source, out = Source(folder / "source.pt"), folder / "outputs" / "out"
    out.parent.mkdir()
    calls = {name: commands(source.path, source.path, out)[name] for name in ["hash", "to zip", "filter", "rename"]}
    calls["filter"] = ["filter", source.path, "--include", "plain", "-o", f"{out}.pt"]
    calls["listing"] = ["ls", source.path, "--json"]
    expected = {name: run(call, out)[:3] for name, call in calls.items()}
    for record, _, position in source.places():
        with source.flipped(position):
            for name, call in calls.items():
                status, printed, written, error = run(call, out)
                if status == 65:
                    assert record in error, (name, record, error)
                else:
                    assert (status, printed, written) == expected[name], (name, record, position, status)
