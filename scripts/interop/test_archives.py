"""Archives: the fixtures and object graphs made at random, written anew, filtered, listed; files that are refused."""

import collections
import json
import random

import generate
import pytest
import torch
import torchvision
from archives import as_pytorch_should_read, can_load_plainly, check_archive, check_same_objects, same_but_for_id
from compare import assert_equal
from harness import FIXTURES, ckpt
from random_objects import Random

SPECS = {path.stem: json.loads(path.read_text()) for path in sorted(FIXTURES.glob("*.json"))}
WRITTEN_ANEW = [name for name in SPECS if name != "torchscript"]
# Made by other PyTorches, or changed after PyTorch wrote them.
OTHER_BYTES = ("deflated", "unaligned", "data_first", "big_endian", "no_crc", "buffered")
SAME_BYTES = [
    name for name in WRITTEN_ANEW
    if SPECS[name]["identical"] and name not in OTHER_BYTES and not name.startswith("pt113_")
]
LISTED = [name for name in SPECS if SPECS[name]["at"] is not None]


def source_of(name):
    return FIXTURES / f"{name}.pt"


@pytest.mark.parametrize("name", WRITTEN_ANEW)
def test_rewrite(folder, name):
    source, written = source_of(name), folder / f"{name}.pt"
    ckpt("rewrite", source, "-o", written)
    check_archive(written)
    check_same_objects(as_pytorch_should_read(source), written)
    again = folder / "again" / source.name
    again.parent.mkdir()
    ckpt("rewrite", written, "-o", again)
    assert again.read_bytes() == written.read_bytes(), "not the same bytes the second time"


@pytest.mark.parametrize("name", SAME_BYTES)
def test_same_bytes(folder, name):
    source, written = source_of(name), folder / f"{name}.pt"
    ckpt("rewrite", source, "-o", written)
    same_but_for_id(source, written)


@pytest.mark.parametrize("name", LISTED)
def test_listing(name):
    spec = SPECS[name]
    check_listing(ckpt("ls", source_of(name), "--at", spec["at"], "--json"), spec)


@pytest.mark.parametrize("name", [name for name in LISTED if name != "torchscript"])
def test_filter(folder, name):
    source, written = source_of(name), folder / f"{name}.pt"
    ckpt("filter", source, "--at", SPECS[name]["at"], "-o", written)
    check_same_objects(as_pytorch_should_read(source), written)


@pytest.mark.parametrize("name", LISTED)
def test_extract(folder, name):
    source, written, at = source_of(name), folder / f"{name}.pt", SPECS[name]["at"]
    ckpt("filter", source, "--at", at, "--extract", "-o", written)
    check_archive(written)
    loaded = torch.load(written, weights_only=False)
    if name == "torchscript":
        original = torch.jit.load(source).state_dict()
        assert list(loaded) == list(original)
        for key, value in original.items():
            assert torch.equal(loaded[key], value), key
    else:
        original = torch.load(as_pytorch_should_read(source), weights_only=False)
        assert_equal(generate.state_dict_at(original, at), loaded)


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


def state_dict_cases():
    """The ten lines of Python, and what we do instead: the expected object, the call, whether the bytes are the same.

    Where a Namespace is in the file, `torch.load` itself changes which strs are one object.
    """
    source = FIXTURES / "training.pt"
    original = torch.load(source, weights_only=False)
    weights = original["model"]

    kept = collections.OrderedDict((k, v) for k, v in weights.items() if "conv" in k or "bn" in k)
    yield kept, ["filter", source, "--include", "conv", "--include", "bn", "--extract"], True
    yield {**original, "model": kept}, ["filter", source, "--exclude", "fc"], False
    stripped = collections.OrderedDict((k.replace("module.", "", 1), v) for k, v in weights.items())
    yield {**original, "model": stripped}, ["rename-keys", source, "--strip-prefix", "module."], False
    renamed = collections.OrderedDict((k.replace("module.fc", "head"), v) for k, v in weights.items())
    yield renamed, ["rename-keys", source, "--replace", "module.fc=head", "--extract"], True
    module = torch.load(FIXTURES / "module_state_dict.pt", weights_only=False)
    merged = module.copy()
    merged._metadata = module._metadata
    merged.update({k: v for k, v in stripped.items() if "fc" not in k})
    arguments = ["merge", FIXTURES / "module_state_dict.pt", source, "--strip-prefix", "module.", "--exclude", "fc"]
    yield merged, arguments, True


@pytest.mark.parametrize(
    "number", range(5), ids=["filter --extract", "filter", "rename-keys --strip-prefix", "rename-keys --replace", "merge"])
def test_state_dict(folder, number):
    expected, arguments, is_exact = list(state_dict_cases())[number]
    ours, theirs = folder / "ours" / "x.pt", folder / "theirs" / "x.pt"
    for path in (ours, theirs):
        path.parent.mkdir()
    ckpt(*arguments, "-o", ours)
    check_archive(ours)
    torch.save(expected, theirs)
    assert_equal(torch.load(theirs, weights_only=False), torch.load(ours, weights_only=False))
    if is_exact:
        same_but_for_id(theirs, ours)


@pytest.mark.parametrize("seed", range(150))
def test_random_graph(folder, seed):
    source, written = folder / "random.pt", folder / "written" / "random.pt"
    written.parent.mkdir()
    protocol = [2, 2, 2, 4, 5][seed % 5]
    torch.save(Random(seed).value(), source, pickle_protocol=protocol)
    ckpt("rewrite", source, "-o", written)
    assert_equal(torch.load(source, weights_only=False), torch.load(written, weights_only=False))
    if protocol == 2:
        same_but_for_id(source, written)


@pytest.mark.parametrize("seed", range(20))
def test_random_state_dict(folder, seed):
    pick = random.Random(1000 + seed)
    maker = Random(seed)
    weights = collections.OrderedDict(
        (".".join(pick.choice("abc") for _ in range(pick.randrange(1, 4))), maker.tensor(0))
        for _ in range(pick.randrange(1, 30))
    )
    source, written, expected = folder / "weights.pt", folder / "kept" / "weights.pt", folder / "expected" / "weights.pt"
    for path in (written, expected):
        path.parent.mkdir()
    torch.save({"model": weights, "epoch": seed}, source)
    part = pick.choice("abc")
    kept = collections.OrderedDict((k, v) for k, v in weights.items() if part in k)
    ckpt("filter", source, "--include", part, "--allow-empty", "-o", written)
    torch.save({"model": kept, "epoch": seed}, expected)
    same_but_for_id(expected, written)


@pytest.mark.parametrize("name", ["python_objects", "special_tensors", "subclass", "training", "protocol_4", "cycles"])
def test_plain(folder, name):
    source, written = source_of(name), folder / f"plain_{name}.pt"
    report = ckpt("rewrite", source, "--plain", "-o", written, "--json")
    assert report["plain"] or can_load_plainly(source), "no place was named"
    torch.load(written, weights_only=True)
    torch.load(written, weights_only=True, mmap=True)


BAD = json.loads((FIXTURES / "bad" / "bad.json").read_text())


@pytest.mark.parametrize("item", BAD, ids=[item["file"] for item in BAD])
def test_bad_file(check_bad, item):
    check_bad(FIXTURES / "bad" / item["file"], item["says"])


@pytest.mark.parametrize("part", range(50))
def test_file_cut_short(folder, check_bad, part):
    whole = (FIXTURES / "training.pt").read_bytes()
    source = folder / "truncated.pt"
    source.write_bytes(whole[: len(whole) * part // 50])
    check_bad(source, "ckpt: error: ")


def test_main_job(folder):
    """ResNet-50 with an optimizer's state: filtered, renamed, merged, loaded strictly."""
    model = torchvision.models.resnet50(weights=None)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    sum(parameter.sum() for parameter in model.parameters()).backward()
    optimizer.step()
    source, fresh = folder / "resnet50.pth", folder / "fresh.pth"
    weights = collections.OrderedDict(("module." + k, v) for k, v in model.state_dict().items())
    torch.save({"model": weights, "optimizer": optimizer.state_dict(), "epoch": 90}, source)
    target = torchvision.models.resnet50(weights=None, num_classes=10)
    torch.save(target.state_dict(), fresh)
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
