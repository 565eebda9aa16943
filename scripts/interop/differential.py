"""Reads changed files by this library and by the formats' own ones: if both accept a file, the values must be equal.

    python differential.py COUNT [SEED] [KIND…]      with the release build of CkptValueCheck

Kinds: torch, safetensors, gguf, npy, npz, zip. Files that differ are kept in the folder that is printed.
"""

import hashlib
import io
import json
import multiprocessing
import pathlib
import random
import struct
import subprocess
import sys
import tempfile
import warnings
import zipfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "fixtures"
CHECK = ROOT / ".build" / "release" / "CkptValueCheck"
LIMIT = 20_000


# What the other libraries read: a dict of key to (dtype, shape, SHA-256), "refused", or "other" for what has no tensors
# by name. They run in a process of their own, since some files crash them.


def digest(data):
    return hashlib.sha256(data).hexdigest()


def of_tensor(tensor):
    import torch

    if tensor.is_meta:
        return str(tensor.dtype)[6:], list(tensor.shape), "meta"
    if tensor.is_quantized:
        tensor, dtype = tensor.int_repr(), str(tensor.dtype)[6:]
    else:
        dtype = str(tensor.dtype)[6:]
    plain = tensor.detach().resolve_conj().resolve_neg().contiguous()
    data = plain.reshape(-1).view(torch.uint8).numpy().tobytes() if plain.numel() else b""
    return dtype, list(tensor.shape), digest(data)


def read_torch(path):
    import torch

    found = torch.load(path, weights_only=True, map_location="cpu")
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
        return "other"
    if any(isinstance(v, torch.Tensor) and (v.layout != torch.strided or v.is_nested) for v in found.values()):
        return "other"
    return {key: of_tensor(value) for key, value in found.items() if type(value) in (torch.Tensor, torch.nn.Parameter)}


def read_safetensors(path):
    import safetensors.torch

    return {key: of_tensor(value) for key, value in safetensors.torch.load(path.read_bytes()).items()}


GGUF_TYPES = {"F32": "float32", "F16": "float16", "F64": "float64", "I8": "int8", "I16": "int16", "I32": "int32", "I64": "int64"}


def read_gguf(path):
    import gguf

    found = {}
    for tensor in gguf.GGUFReader(path).tensors:
        if tensor.tensor_type.name in GGUF_TYPES:
            shape = [int(size) for size in reversed(tensor.shape)]
            found[str(tensor.name)] = GGUF_TYPES[tensor.tensor_type.name], shape, digest(tensor.data.tobytes())
    return found


def of_array(array):
    if array.dtype.kind not in "biufc" or array.dtype.itemsize > 16 or array.dtype.char in "gG":
        return None
    return array.dtype.name, list(array.shape), digest(array.astype(array.dtype.newbyteorder("<")).tobytes(order="C"))


def read_npy(path):
    import numpy

    with open(path, "rb") as file:
        array = numpy.lib.format.read_array(file, allow_pickle=False)
    return {"": of_array(array)}


def read_npz(path):
    import numpy

    found = {}
    with numpy.load(path, allow_pickle=False) as archive:
        if not hasattr(archive, "files"):
            return "other"
        for key in archive.files:
            array = archive[key]
            if not hasattr(array, "dtype"):
                return "other"
            found[key] = of_array(array)
    return found


def read_zip(path):
    found = {}
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if info.filename in found:
                return "other"
            found[info.filename] = None, None, digest(archive.read(info))
    return found


READERS = {
    "torch": read_torch, "safetensors": read_safetensors, "gguf": read_gguf, "npy": read_npy, "npz": read_npz, "zip": read_zip,
}


def serve(pipe):
    warnings.simplefilter("ignore")
    while True:
        kind, path = pipe.recv()
        try:
            answer = READERS[kind](pathlib.Path(path))
        except (Exception, RecursionError):
            answer = "refused"
        pipe.send(answer)


class Other:
    """The other libraries, in a process that is started again if a file kills it."""

    def __init__(self):
        self.deaths = 0
        self.begin()

    def begin(self):
        self.pipe, theirs = multiprocessing.Pipe()
        self.process = multiprocessing.Process(target=serve, args=(theirs,), daemon=True)
        self.process.start()
        theirs.close()

    def read(self, kind, path):
        try:
            self.pipe.send((kind, str(path)))
            if self.pipe.poll(60):
                return self.pipe.recv()
        except (EOFError, OSError):
            pass
        self.deaths += 1
        self.process.kill()
        self.process.join()
        self.begin()
        return "refused"


class Ours:
    def __init__(self):
        self.process = subprocess.Popen([CHECK], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def read(self, kind, path):
        self.process.stdin.write(f"zip:{path}\n" if kind == "zip" else f"{path}\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, f"CkptValueCheck ended with status {self.process.wait()} at {path}"
        answer = json.loads(line)
        if "error" in answer:
            return "refused"
        return {e["key"]: (e.get("dtype"), e.get("shape"), e["sha256"]) for e in answer["entries"]}


# Changed files.


def unpacked(data):
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return [(info.filename, archive.read(info), info.compress_type) for info in archive.infolist()]


def packed(records):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data, kind in records:
            archive.writestr(zipfile.ZipInfo(name), data, kind)
    return out.getvalue()


EDGES = [b"\0", b"\1", b"\x7f", b"\x80", b"\xff", b"\xff\xff\xff\x7f", b"\0\0\0\x80", b"\xff" * 8, b"\xff" * 7 + b"\x7f"]
WORDS = {
    "torch": [b"K\1", b"K\0", b"K\2", b"(", b"t", b"u", b"s", b"0", b"2", b"\x85", b"\x86", b"b", b"}", b"]", b"a", b")", b"N",
              b"\x88", b"\x89", b"h\1", b"q\1", b"R", b"J\xff\xff\xff\xff", b"J\0\0\1\0", b"\x94", b"\x81"],
    "safetensors": [b'"', b"0", b"1", b"[", b"]", b",", b":", b"F32", b"F16", b"I64", b" ", b"\\u0041", b"-", b"9"],
    "npy": [b"'", b"0", b"1", b"(", b")", b",", b"<f4", b">f8", b"True", b"False", b" ", b"|b1", b"<i2", b"-"],
    "gguf": [struct.pack("<Q", n) for n in (0, 1, 2, 4, 8, 32, 2**63)] + [struct.pack("<I", n) for n in (0, 1, 2, 4, 8, 9, 24, 28)],
    "zip": [b"PK\1\2", b"PK\3\4", b"PK\5\6", b"\0", b"\x08", b"/", b"A", b"\xff\xff", b"\xff\xff\xff\xff"],
}


def change(data, words, count):
    data = bytearray(data)
    for _ in range(count):
        at = random.randrange(len(data) + 1)
        step = random.random()
        if step < 0.25 and at < len(data):
            data[at] ^= 1 << random.randrange(8)
        elif step < 0.4 and at < len(data):
            data[at] = random.randrange(256)
        elif step < 0.5:
            edge = random.choice(EDGES)
            data[at : at + len(edge)] = edge
        elif step < 0.65:
            data[at:at] = random.choice(words)
        elif step < 0.8:
            word = random.choice(words)
            data[at : at + len(word)] = word
        elif step < 0.9:
            del data[at : at + random.choice([1, 1, 1, 2, 4, 8])]
        else:
            other = random.randrange(len(data) + 1)
            data[at:at] = data[other : other + random.choice([1, 2, 4, 8, 16, 32])]
    return bytes(data)


def overwritten(data):
    """As many bytes, one of them another."""
    data = bytearray(data)
    if data:
        data[random.randrange(len(data))] = random.randrange(256)
    return bytes(data)


def changed(kind, seed):
    """A changed file; checksums and lengths fit most of the time, so that what lies behind them is reached."""
    words = WORDS.get(kind, WORDS["zip"])
    count = random.choice([1, 1, 1, 2, 3, 5])
    if random.random() < 0.15:
        return change(seed, words, count)
    if kind == "torch" and seed[:2] == b"PK":
        records = unpacked(seed)
        which = next(n for n, (name, _, _) in enumerate(records) if name.endswith("data.pkl"))
        name, data, method = records[which]
        records[which] = (name, change(data, words, count), method)
        return packed(records)
    if kind == "npz":
        records = unpacked(seed)
        which = random.randrange(len(records))
        name, data, method = records[which]
        step = random.random()
        if step < 0.2:
            name = random.choice(["a.npy", "A.npy", "ä.npy", "b/c.npy", "data", name.upper(), name + ".npy"])
        elif step < 0.4:
            method = random.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
            data = data[:128] + overwritten(data[128:])
        else:
            data = change(data[:128], WORDS["npy"], count) + data[128:]
        records[which] = (name, data, method)
        return packed(records)
    if kind == "safetensors":
        size = int.from_bytes(seed[:8], "little")
        header, data = seed[8 : 8 + size], seed[8 + size :]
        if random.random() < 0.2:
            data = overwritten(data)
        else:
            header = change(header, words, count)
        return struct.pack("<Q", len(header)) + header + data
    if kind == "npy":
        size = int.from_bytes(seed[8:10], "little")
        header = change(seed[10 : 10 + size], words, count)
        return seed[:8] + struct.pack("<H", len(header) & 0xFFFF) + header + seed[10 + size :]
    if kind == "gguf":
        return change(seed[:400], words, count) + seed[400:]
    if kind == "zip":
        data = bytearray(change(seed[-400:], words, count))
        return seed[:-400] + bytes(data)
    return change(seed, words, count)


def seeds():
    def contents(*patterns):
        paths = sorted(path for pattern in patterns for path in FIXTURES.glob(pattern))
        return [path.read_bytes() for path in paths if path.is_file() and path.stat().st_size <= LIMIT]

    other = Other()
    ours = Ours()
    torch_files = contents("*.pt", "forms/*", "scan/plain.pt")
    found = {
        "torch": torch_files,
        "safetensors": contents("formats/*.safetensors"),
        "gguf": contents("formats_more/*.gguf") + [plain_gguf()],
        "npy": contents("formats_more/*.npy"),
        "npz": contents("formats_more/*.npz"),
        "zip": [data for data in torch_files if data[:2] == b"PK"] + contents("formats_more/*.npz"),
    }
    # Only files that both read are worth changing.
    with tempfile.TemporaryDirectory() as folder:
        for kind in found:
            kept = []
            for number, data in enumerate(found[kind]):
                path = pathlib.Path(folder) / f"{kind}-{number}"
                path.write_bytes(data)
                answers = other.read(kind, path), ours.read(kind, path)
                if all(isinstance(answer, dict) and answer for answer in answers) and is_sound(data):
                    kept.append(data)
            found[kind] = kept
    return found, other, ours


def is_sound(data):
    """Whether an archive can be packed anew; some have no checksums."""
    try:
        return data[:2] != b"PK" or bool(unpacked(data))
    except zipfile.BadZipFile:
        return False


def plain_gguf():
    def text(value):
        return struct.pack("<Q", len(value)) + value.encode()

    start = b"GGUF" + struct.pack("<IQQ", 3, 2, 2) + text("general.architecture") + struct.pack("<I", 8) + text("x")
    start += text("general.alignment") + struct.pack("<II", 4, 32)
    start += text("a") + struct.pack("<IQQIQ", 2, 4, 2, 0, 0) + text("b") + struct.pack("<IQIQ", 1, 8, 1, 32)
    return start + bytes(-len(start) % 32) + bytes(range(48))


def differs(kind, theirs, ours):
    """Whether both accept a file and read other values; tells what."""
    if not isinstance(theirs, dict) or not isinstance(ours, dict):
        return None
    if kind == "npy":
        theirs = {next(iter(ours), ""): theirs[""]}
    if kind == "gguf":
        # Blocks are dequantized here, and have no plain counterpart there.
        ours = {key: value for key, value in ours.items() if key in theirs}
    if set(theirs) != set(ours):
        return f"keys {sorted(set(theirs) ^ set(ours))[:4]}"
    for key, value in theirs.items():
        if value is not None and list(value) != list(ours[key]):
            return f"{key!r}: {value} there, {ours[key]} here"
    return None


def run(count, seed, kinds, folder, report=print):
    """Returns, for each kind, how many files were accepted by both, by one, and by none, and the differences."""
    random.seed(seed)
    examples, other, mine = seeds()
    totals, differences = {}, []
    for number in range(count):
        kind = kinds[number % len(kinds)]
        data = changed(kind, random.choice(examples[kind]))
        path = folder / f"{kind}-{number}"
        path.write_bytes(data)
        theirs, ours = other.read(kind, path), mine.read(kind, path)
        tally = totals.setdefault(kind, {"both": 0, "theirs": 0, "ours": 0, "none": 0})
        there, here = theirs != "refused", ours != "refused"
        tally["both" if there and here else "theirs" if there else "ours" if here else "none"] += 1
        problem = differs(kind, theirs, ours)
        if problem:
            differences.append((path, problem))
            report(f"{path}: {problem}")
        else:
            path.unlink()
    other.process.kill()
    mine.process.stdin.close()
    mine.process.wait()
    return totals, differences, other.deaths


def main():
    count = int(sys.argv[1])
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    folder = pathlib.Path(tempfile.mkdtemp(prefix="differential-"))
    print("folder:", folder)
    totals, differences, deaths = run(count, seed, sys.argv[3:] or list(READERS), folder, lambda line: print(line, flush=True))
    for kind, tally in totals.items():
        print(f"{kind}: {tally}")
    print(f"files: {count}; differences: {len(differences)}; the other libraries crashed {deaths} times")


if __name__ == "__main__":
    main()
