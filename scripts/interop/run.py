"""Checks `ckpt` against a real PyTorch, in both directions.

    python scripts/interop/run.py CKPT

One line for each group of checks, one for each failure; exit status 1 if any failed.
"""

import collections
import io
import json
import pathlib
import random
import subprocess
import sys
import tempfile
import warnings
import zipfile

warnings.simplefilter("ignore")

import torch

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "fixtures"), str(pathlib.Path(__file__).resolve().parent)]

import adapters
import derived_weights
import described_models
import generate
import harness
import hub_formats
import inspection
import many_tensors
import merge_identities
import merges
import more_formats
import outputs
import pickled_forms
import pickled_objects
import state_dicts as state_dict_checks
import training_states
import what_it_is
import whole_models
from compare import assert_equal
from harness import FIXTURES, check, ckpt, hostile_checker

def loads(path, weights_only, mmap):
    return torch.load(path, weights_only=weights_only, mmap=mmap)


def can_load_plainly(path):
    try:
        torch.load(path, weights_only=True)
        return True
    except Exception:
        return False


def check_archive(path, crc=True):
    """What holds for every archive that we write."""
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        names = [info.filename.split("/", 1)[1] for info in archive.infolist()]
        data = path.read_bytes()
        for info in archive.infolist():
            start = info.header_offset
            name, extra = (int.from_bytes(data[start + at : start + at + 2], "little") for at in (26, 28))
            assert (start + 30 + name + extra) % 64 == 0, f"{info.filename} is not aligned"
            assert info.compress_type == 0
    numbers = [name for name in names if name.startswith("data/")]
    assert names[:4] == ["data.pkl", ".format_version", ".storage_alignment", "byteorder"], names
    assert numbers == [f"data/{n}" for n in range(len(numbers))], numbers
    assert names[-2:] == ["version", ".data/serialization_id"], names
    unzip = subprocess.run(["unzip", "-tqq", path], capture_output=True, text=True)
    assert unzip.returncode == 0, unzip.stdout + unzip.stderr


def check_same_objects(original, written):
    """`torch.load` gives equal objects for both files, in every way in which it loads the first."""
    assert_equal(loads(original, False, False), loads(written, False, False))
    assert_equal(loads(original, False, False), loads(written, False, True))
    if can_load_plainly(original):
        assert_equal(loads(original, True, False), loads(written, True, False))
        assert_equal(loads(original, True, False), loads(written, True, True))


def same_but_for_id(left, right):
    """The same bytes, except the first half of the serialization id and what depends on it."""
    left, right = left.read_bytes(), right.read_bytes()
    if left == right:
        return
    assert len(left) == len(right), f"{len(left)} bytes is not {len(right)}"
    with zipfile.ZipFile(io.BytesIO(left)) as archive:
        info = archive.infolist()[-1]
        start = info.header_offset
        directory = archive.start_dir
    name, extra = (int.from_bytes(left[start + at : start + at + 2], "little") for at in (26, 28))
    digits = start + 30 + name + extra
    end = left.rindex(info.filename.encode()) - 46
    varying = [range(digits, digits + 20), range(digits + 44, digits + 48), range(end + 16, end + 20)]
    assert directory <= end
    for place, (a, b) in enumerate(zip(left, right)):
        assert a == b or any(place in span for span in varying), f"byte {place} differs"


def as_pytorch_should_read(source):
    """PyTorch does not turn round big-endian storages without a type (uint32): take the same, unturned."""
    return FIXTURES / "unaligned.pt" if source.name == "big_endian.pt" else source


# The groups of checks.


def fixtures(folder):
    for description in sorted(FIXTURES.glob("*.json")):
        name = description.stem
        source, spec = description.with_suffix(".pt"), json.loads(description.read_text())
        written = folder / source.name

        def rewritten():
            ckpt("rewrite", source, "-o", written)
            check_archive(written)
            check_same_objects(as_pytorch_should_read(source), written)
            again = folder / "again" / source.name
            again.parent.mkdir(exist_ok=True)
            ckpt("rewrite", written, "-o", again, "--force")
            assert again.read_bytes() == written.read_bytes(), "not the same bytes the second time"

        def same_archive():
            ckpt("rewrite", source, "-o", written, "--force")
            same_but_for_id(source, written)

        def listed():
            listing = ckpt("ls", source, "--at", spec["at"], "--json")
            check_listing(listing, spec)

        def filtered():
            ckpt("filter", source, "--at", spec["at"], "-o", written, "--force")
            check_same_objects(as_pytorch_should_read(source), written)

        def extracted():
            ckpt("filter", source, "--at", spec["at"], "--extract", "-o", written, "--force")
            check_archive(written)
            loaded = torch.load(written, weights_only=False)
            if name == "torchscript":
                original = torch.jit.load(source).state_dict()
                assert list(loaded) == list(original)
                for key, value in original.items():
                    assert torch.equal(loaded[key], value), key
            else:
                original = torch.load(as_pytorch_should_read(source), weights_only=False)
                assert_equal(generate.state_dict_at(original, spec["at"]), loaded)

        if name != "torchscript":
            check(f"rewrite {name}", rewritten)
            plain = name.startswith("pt113_") or name in ("deflated", "unaligned", "data_first", "big_endian")
            if not plain and name != "no_crc" and name != "buffered" and spec["identical"]:
                check(f"same bytes {name}", same_archive)
        if spec["at"] is not None:
            check(f"ls {name}", listed)
            check(f"extract {name}", extracted)
            if name != "torchscript":
                check(f"filter {name}", filtered)


def check_listing(listing, spec):
    assert [t["key"] for t in listing["tensors"]] == [t["key"] for t in spec["tensors"]]
    pairs = set()
    for found, wanted in zip(listing["tensors"], spec["tensors"]):
        for field in ("dtype", "shape", "stride", "storage_offset", "requires_grad"):
            assert found[field] == wanted[field], f"{wanted['key']}: {field} {found[field]}"
        scheme = found.get("quantization") or {}
        for field, value in (wanted["quantization"] or {}).items():
            assert scheme[field] == value, f"{wanted['key']}: {field} {scheme[field]}"
        if 0 not in found["shape"]:
            pairs.add((found.get("storage"), wanted["storage"]))
    assert len({a for a, _ in pairs}) == len({b for _, b in pairs}) == len(pairs), "other ties"


def state_dicts(folder):
    """The ten lines of Python, and what we do instead.

    Where a Namespace is in the file, `torch.load` itself changes which strs are one object.
    """
    source = FIXTURES / "training.pt"
    original = torch.load(source, weights_only=False)
    weights = original["model"]

    def compare(name, expected, *arguments, command="filter", exact=True):
        def action():
            ours, theirs = folder / "ours" / "x.pt", folder / "theirs" / "x.pt"
            for path in (ours, theirs):
                path.parent.mkdir(exist_ok=True)
            ckpt(command, *arguments, "-o", ours, "--force")
            check_archive(ours)
            torch.save(expected, theirs)
            assert_equal(torch.load(theirs, weights_only=False), torch.load(ours, weights_only=False))
            if exact:
                same_but_for_id(theirs, ours)

        check(name, action)

    kept = collections.OrderedDict((k, v) for k, v in weights.items() if "conv" in k or "bn" in k)
    compare("filter --extract", kept, source, "--include", "conv", "--include", "bn", "--extract")
    compare("filter", {**original, "model": kept}, source, "--exclude", "fc",
            exact=False)  # fmt: skip
    stripped = collections.OrderedDict((k.replace("module.", "", 1), v) for k, v in weights.items())
    compare("rename-keys --strip-prefix", {**original, "model": stripped}, source,
            "--strip-prefix", "module.", command="rename-keys", exact=False)  # fmt: skip
    renamed = collections.OrderedDict((k.replace("module.fc", "head"), v) for k, v in weights.items())
    compare("rename-keys --replace", renamed, source, "--replace", "module.fc=head", "--extract",
            command="rename-keys")  # fmt: skip
    module = torch.load(FIXTURES / "module_state_dict.pt", weights_only=False)
    update = {k: v for k, v in stripped.items() if "fc" not in k}
    merged = module.copy()
    merged._metadata = module._metadata
    merged.update(update)
    compare("merge", merged, FIXTURES / "module_state_dict.pt", source, "--strip-prefix", "module.",
            "--exclude", "fc", command="merge")  # fmt: skip


class Random:
    """Random object graphs: shared, cyclic, of all plain types, with tensors."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.made = []

    def value(self, depth=0):
        pick = self.random
        if self.made and pick.random() < 0.15:
            return pick.choice(self.made)
        kinds = ["int", "float", "str", "bytes", "none", "tensor", "view"]
        kinds += ["list", "dict", "tuple", "set", "ordered", "object"] * (2 if depth < 5 else 0)
        made = getattr(self, pick.choice(kinds))(depth)
        if pick.random() < 0.5:
            self.made.append(made)
        return made

    def count(self):
        return self.random.choice([0, 1, 2, 3, 4, 7])

    def int(self, depth):
        return self.random.randrange(-(2 ** self.random.randrange(90)), 2 ** self.random.randrange(1, 90))

    def float(self, depth):
        return self.random.choice([0.0, -0.0, 1.5, float("inf"), self.random.random()])

    def str(self, depth):
        return "".join(self.random.choice("ab\u00e9\U0001f600\ud800\n") for _ in range(self.count()))

    def bytes(self, depth):
        return self.random.randbytes(self.count())

    def none(self, depth):
        return self.random.choice([None, True, False])

    def tensor(self, depth):
        dtype = self.random.choice([torch.float32, torch.int64, torch.bool, torch.bfloat16, torch.uint16])
        shape = [self.random.randrange(4) for _ in range(self.random.randrange(4))]
        made = torch.zeros(shape).to(dtype)
        if self.random.random() < 0.2 and dtype.is_floating_point:
            return torch.nn.Parameter(made)
        return made

    def view(self, depth):
        tensors = [value for value in self.made if isinstance(value, torch.Tensor) and value.dim() > 1]
        return self.random.choice(tensors).detach().transpose(0, 1) if tensors else self.tensor(depth)

    def list(self, depth):
        made = []
        self.made.append(made)
        made += [self.value(depth + 1) for _ in range(self.count())]
        return made

    def dict(self, depth, made=None):
        made = {} if made is None else made
        self.made.append(made)
        for _ in range(self.count()):
            key = self.random.choice([self.str, self.int])(depth)
            made[key] = self.value(depth + 1)
        return made

    def ordered(self, depth):
        return self.dict(depth, collections.OrderedDict())

    def tuple(self, depth):
        return tuple(self.value(depth + 1) for _ in range(self.count()))

    def set(self, depth):
        return {self.int(depth) for _ in range(self.count())}

    def object(self, depth):
        made = generate.Config()
        self.made.append(made)
        made.__dict__.update({f"a{n}": self.value(depth + 1) for n in range(self.count())})
        return made


def random_graphs(folder):
    for seed in range(150):
        source, written = folder / "random.pt", folder / "written" / "random.pt"
        written.parent.mkdir(exist_ok=True)
        protocol = [2, 2, 2, 4, 5][seed % 5]
        torch.save(Random(seed).value(), source, pickle_protocol=protocol)

        def action():
            ckpt("rewrite", source, "-o", written, "--force")
            assert_equal(torch.load(source, weights_only=False), torch.load(written, weights_only=False))
            if protocol == 2:
                same_but_for_id(source, written)

        check(f"random graph {seed}", action)


def random_state_dicts(folder):
    for seed in range(20):
        pick = random.Random(1000 + seed)
        maker = Random(seed)
        weights = collections.OrderedDict(
            (".".join(pick.choice("abc") for _ in range(pick.randrange(1, 4))), maker.tensor(0))
            for _ in range(pick.randrange(1, 30))
        )
        source, written = folder / "weights.pt", folder / "kept" / "weights.pt"
        written.parent.mkdir(exist_ok=True)
        torch.save({"model": weights, "epoch": seed}, source)
        part = pick.choice("abc")
        kept = collections.OrderedDict((k, v) for k, v in weights.items() if part in k)

        def action():
            ckpt("filter", source, "--include", part, "--allow-empty", "-o", written, "--force")
            expected = folder / "expected" / "weights.pt"
            expected.parent.mkdir(exist_ok=True)
            torch.save({"model": kept, "epoch": seed}, expected)
            same_but_for_id(expected, written)

        check(f"random state dict {seed}", action)


def plain(folder):
    for name in ("python_objects", "special_tensors", "subclass", "training", "protocol_4", "cycles"):
        source, written = FIXTURES / f"{name}.pt", folder / f"plain_{name}.pt"

        def action():
            report = ckpt("rewrite", source, "--plain", "-o", written, "--json")
            assert report["plain"] or can_load_plainly(source), "no place was named"
            torch.load(written, weights_only=True)
            torch.load(written, weights_only=True, mmap=True)

        check(f"--plain {name}", action)


def hostile(folder):
    with hostile_checker(folder) as check_bad:
        for item in json.loads((FIXTURES / "bad" / "bad.json").read_text()):
            source = FIXTURES / "bad" / item["file"]
            check(f"bad {item['file']}", lambda: check_bad(source, item["says"]))
        whole = (FIXTURES / "training.pt").read_bytes()
        for part in range(50):
            source = folder / "truncated.pt"
            source.write_bytes(whole[: len(whole) * part // 50])
            check(f"bad: cut to {part}/50", lambda: check_bad(source, "ckpt: error: "))


def main_job(folder):
    """ResNet-50 with an optimizer's state: filtered, renamed, merged, loaded strictly."""
    import torchvision

    model = torchvision.models.resnet50(weights=None)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    sum(parameter.sum() for parameter in model.parameters()).backward()
    optimizer.step()
    source, fresh = folder / "resnet50.pth", folder / "fresh.pth"
    weights = collections.OrderedDict(("module." + k, v) for k, v in model.state_dict().items())
    torch.save({"model": weights, "optimizer": optimizer.state_dict(), "epoch": 90}, source)
    target = torchvision.models.resnet50(weights=None, num_classes=10)
    torch.save(target.state_dict(), fresh)

    def action():
        backbone, renamed, merged = (folder / f"{name}.pth" for name in ("backbone", "renamed", "merged"))
        ckpt("filter", source, "--exclude", "under:module.fc", "-o", backbone)
        kept = torch.load(backbone, weights_only=True)
        assert kept["epoch"] == 90 and len(kept["model"]) == len(weights) - 2
        assert_equal(optimizer.state_dict(), kept["optimizer"])
        ckpt("rename-keys", backbone, "--strip-prefix", "module.", "--extract", "-o", renamed)
        report = ckpt("merge", fresh, renamed, "-o", merged, "--json")
        assert len(report["replaced"]) == len(weights) - 2
        for mmap in (False, True):
            loaded = torchvision.models.resnet50(weights=None, num_classes=10)
            loaded.load_state_dict(torch.load(merged, weights_only=True, mmap=mmap), strict=True)
            for key, value in loaded.state_dict().items():
                wanted = target.state_dict()[key] if key.startswith("fc.") else model.state_dict()[key]
                assert torch.equal(value, wanted), key
        check_archive(merged)

    check("main job: ResNet-50", action)


def main():
    harness.CKPT = str(pathlib.Path(sys.argv[1]).resolve())
    generate.unknown_module()
    generate.Tagged.__module__ = "nobody_knows"
    sys.modules["nobody_knows"].Tagged = generate.Tagged
    # A module of further groups adds its own, `GROUPS`, here.
    groups = [fixtures, state_dicts, random_graphs, random_state_dicts, plain, hostile, main_job]
    groups += inspection.GROUPS
    groups += hub_formats.GROUPS
    groups += derived_weights.GROUPS
    groups += described_models.GROUPS
    groups += adapters.GROUPS
    groups += merge_identities.GROUPS
    groups += merges.GROUPS
    groups += many_tensors.GROUPS
    groups += more_formats.GROUPS
    groups += outputs.GROUPS
    groups += pickled_forms.GROUPS
    groups += pickled_objects.GROUPS
    groups += state_dict_checks.GROUPS
    groups += training_states.GROUPS
    groups += what_it_is.GROUPS
    groups += whole_models.GROUPS
    wanted = sys.argv[2:]
    for group in groups:
        if wanted and group.__name__ not in wanted:
            continue
        before, bad = harness.passed, len(harness.failed)
        with tempfile.TemporaryDirectory() as folder:
            group(pathlib.Path(folder))
        print(f"{group.__name__}: {harness.passed - before} passed, {len(harness.failed) - bad} failed", flush=True)
    print(f"{harness.passed} passed, {len(harness.failed)} failed (PyTorch {torch.__version__})")
    return 1 if harness.failed else 0


if __name__ == "__main__":
    sys.exit(main())
