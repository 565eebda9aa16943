"""Keys that differ by their Unicode form alone are different keys, as in Python: `é` as one code point or as two, and
the Kelvin sign, which Unicode calls equal to `K`. Every command must tell them apart, and no file may merge them."""

import collections
import io
import itertools
import json
import zipfile

import gguf
import numpy
import pytest
import safetensors.torch
import torch

from bits import assert_same
from harness import ckpt

COMPOSED, DECOMPOSED, KELVIN, PLAIN = "caf\u00e9.weight", "cafe\u0301.weight", "\u212a.weight", "K.weight"
KEYS = [COMPOSED, DECOMPOSED, KELVIN, PLAIN]


def state(offset=0):
    return collections.OrderedDict((key, torch.arange(4.0) + 10 * n + offset) for n, key in enumerate(KEYS))


@pytest.fixture
def file(folder):
    torch.save(state(), folder / "a.pt")
    return folder / "a.pt"


def loaded(path):
    if path.suffix == ".safetensors":
        return safetensors.torch.load_file(path)
    if path.suffix == ".npz":
        return {key: torch.from_numpy(value) for key, value in numpy.load(path).items()}
    if path.suffix == ".gguf":
        return {t.name: torch.from_numpy(numpy.array(t.data)) for t in gguf.GGUFReader(path).tensors}
    return torch.load(path, weights_only=True)


@pytest.mark.parametrize("ending", ["pt", "safetensors", "npz", "gguf"])
def test_every_format_keeps_them_apart(file, folder, ending):
    ckpt("convert", file, "-o", folder / f"b.{ending}")
    assert_same(loaded(folder / f"b.{ending}"), state())
    ckpt("convert", folder / f"b.{ending}", "-o", folder / "c.pt")
    assert_same(loaded(folder / "c.pt"), state())
    ckpt("diff", file, folder / "c.pt")


@pytest.mark.parametrize("form", ["pytorch-index", "safetensors-index"])
def test_shards(file, folder, form):
    ckpt("shard", file, "-o", folder / "shards", "--format", form, "--max-size", "20")
    index = json.loads(next((folder / "shards").glob("*.index.json")).read_text())
    assert sorted(index["weight_map"]) == sorted(KEYS)
    ckpt("join", folder / "shards", "-o", folder / "c.pt")
    assert_same(loaded(folder / "c.pt"), state())


@pytest.mark.parametrize("key", KEYS)
def test_selecting_one(file, folder, key):
    ckpt("filter", file, "--include", f"is:{key}", "-o", folder / "b.pt")
    assert list(loaded(folder / "b.pt")) == [key]
    ckpt("filter", file, "--exclude", f"is:{key}", "-o", folder / "c.pt")
    assert list(loaded(folder / "c.pt")) == [other for other in KEYS if other != key]


@pytest.mark.parametrize("key", KEYS)
def test_renaming_one(file, folder, key):
    (folder / "map.json").write_text(json.dumps({key: "new"}))
    ckpt("rename-keys", file, "--map", folder / "map.json", "-o", folder / "b.pt")
    assert_same(loaded(folder / "b.pt"), {"new" if k == key else k: v for k, v in state().items()})
    # To the other form of its own name: the keys stay four, or two become one, which is refused.
    for other in KEYS:
        status = 0 if other == key else 65
        ckpt("rename-keys", file, "--replace", f"{key}={other}", "-o", folder / "c.pt", "--force", status=status)


@pytest.mark.parametrize("key", KEYS)
def test_merging_one(file, folder, key):
    torch.save({key: state(100)[key]}, folder / "one.pt")
    ckpt("merge", file, folder / "one.pt", "-o", folder / "b.pt")
    assert_same(loaded(folder / "b.pt"), {**state(), key: state(100)[key]})
    torch.save({k: v for k, v in state().items() if k != key}, folder / "rest.pt")
    assert ckpt("merge", folder / "rest.pt", folder / "one.pt", "-o", folder / "c.pt", status=65)
    arguments = ["check", folder / "rest.pt", "--against", file, "--json"]
    report = json.loads(ckpt(*arguments, status=1, output=True))
    assert report["missing"] == [key] and report["unexpected"] == []


@pytest.mark.parametrize("key", KEYS)
def test_ties_are_recorded_for_the_right_key(folder, key):
    tied = state()
    tied["tied"] = tied[key]
    torch.save(tied, folder / "a.pt")
    ckpt("convert", folder / "a.pt", "-o", folder / "b.safetensors", "--ties", "keep-first")
    ckpt("convert", folder / "b.safetensors", "-o", folder / "c.pt")
    back = loaded(folder / "c.pt")
    assert_same(back, tied)
    assert [k for k in KEYS if back[k].data_ptr() == back["tied"].data_ptr()] == [key]


def test_optimizers_follow_the_right_parameter(folder):
    for key in KEYS:
        parameters = [(k, torch.nn.Parameter(v)) for k, v in state().items()]
        optimizer = torch.optim.Adam(parameters)
        for number, (_, parameter) in enumerate(parameters):
            parameter.grad = torch.full((4,), number + 1.0)
        optimizer.step()
        saved = {"model": dict(parameters), "optimizer": optimizer.state_dict()}
        torch.save(saved, folder / "a.pt")
        options = ["--exclude", f"is:{key}", "--optimizer", "params=auto"]
        ckpt("filter", folder / "a.pt", "--at", "model", *options, "-o", folder / "b.pt", "--force")
        result = torch.load(folder / "b.pt", weights_only=True)
        left = [k for k in KEYS if k != key]
        assert list(result["model"]) == left
        group = result["optimizer"]["param_groups"][0]
        assert group["param_names"] == left
        for name, number in zip(group["param_names"], group["params"]):
            expected = saved["optimizer"]["state"][KEYS.index(name)]["exp_avg"]
            assert torch.equal(result["optimizer"]["state"][number]["exp_avg"], expected), (key, name)


@pytest.mark.parametrize("pair", itertools.permutations(KEYS[:2], 2))
def test_storages_with_such_names(folder, pair):
    """A pickle may give its records any names; two that are canonically equal are two records."""
    torch.save({"a": torch.zeros(2), "b": torch.ones(2)}, folder / "plain.pt")
    names = dict(zip("01", (name.split(".")[0] for name in pair)))
    out = io.BytesIO()
    with zipfile.ZipFile(folder / "plain.pt") as source, zipfile.ZipFile(out, "w") as target:
        for entry in source.infolist():
            data = source.read(entry)
            folder_name, _, rest = entry.filename.partition("/")
            if rest == "data.pkl":
                for old, new in names.items():
                    text = new.encode()
                    data = data.replace(b"X\x01\0\0\0" + old.encode(), b"X" + len(text).to_bytes(4, "little") + text)
            if rest.startswith("data/"):
                entry.filename = f"{folder_name}/data/{names[rest[5:]]}"
            target.writestr(entry.filename, data)
    (folder / "x.pt").write_bytes(out.getvalue())
    assert_same(torch.load(folder / "x.pt", weights_only=True), {"a": torch.zeros(2), "b": torch.ones(2)})
    ckpt("convert", folder / "x.pt", "-o", folder / "b.safetensors")
    assert_same(loaded(folder / "b.safetensors"), {"a": torch.zeros(2), "b": torch.ones(2)})
