"""What the inspecting commands say, next to the same lines of Python."""

import json
import math
import random
import zipfile

import accounts
import generate
import pytest
import torch
import torch._weights_only_unpickler as weights_only
import torchvision
import transformers
from compare import assert_equal
from harness import FIXTURES, ckpt

TRAINING = FIXTURES / "training.pt"
ARCHIVES = {source.stem: source for source in sorted(FIXTURES.glob("*.pt"))}
ACCOUNTS = json.loads((FIXTURES / "accounts" / "accounts.json").read_text())


def can_be_listed(source):
    try:
        return torch.serialization.get_unsafe_globals_in_checkpoint(source) is not None
    except Exception:
        return False  # PyTorch's list knows few opcodes and no TorchScript.


SCANNED = [name for name, source in ARCHIVES.items() if can_be_listed(source)]


@pytest.mark.parametrize("name", SCANNED)
def test_scan(name):
    """Every name that `torch.load(weights_only=True)` would refuse is found, and no other is called unsafe."""
    source, allowed = ARCHIVES[name], set(weights_only._get_allowed_globals())
    refused = set(torch.serialization.get_unsafe_globals_in_checkpoint(source))
    (report,) = ckpt("scan", source, "--json")["files"]
    found = report["globals"]
    # PyTorch calls Python 2's names by those of Python 3.
    found = [{**g, "module": g["module"].replace("__builtin__", "builtins")} for g in found]
    names = {f"{g['module']}.{g['name']}".replace("xrange", "range"): g["rating"] for g in found}
    # What getattr finds by constant names is told by its name.
    spelled = {f"{g['module']}.{g['name']}" for g in found if "." in g["name"]}
    if spelled:
        refused.discard("builtins.getattr")
    assert set(names) - allowed - spelled == refused, (set(names) - allowed - spelled) ^ refused
    assert all(names[name] == "safe" for name in set(names) & allowed)


def test_enough_is_scanned():
    assert len(SCANNED) > 30


def records():
    """Of each record that holds something: its name, where its bytes begin, how many they are."""
    whole = TRAINING.read_bytes()
    with zipfile.ZipFile(TRAINING) as archive:
        for info in archive.infolist():
            at = info.header_offset
            name, extra = (int.from_bytes(whole[at + i : at + i + 2], "little") for i in (26, 28))
            if info.file_size:
                yield info.filename, at + 30 + name + extra, info.file_size


@pytest.mark.parametrize("name, start, size", records(), ids=[name for name, _, _ in records()])
def test_verify_damaged(folder, name, start, size):
    """A byte changed in any record is found, in the record in which Python finds it."""
    changed, pick = bytearray(TRAINING.read_bytes()), random.Random(name)
    changed[start + pick.randrange(size)] ^= 1 << pick.randrange(8)
    damaged = folder / "damaged.pt"
    damaged.write_bytes(changed)
    with zipfile.ZipFile(damaged) as archive:
        assert archive.testzip() == name
    # The report is on stdout, whatever the status.
    report = json.loads(ckpt("verify", damaged, "--json", status=1, output=True))
    assert [p["record"] for p in report["problems"] if p["record"]] == [name], report


@pytest.mark.parametrize("name", ARCHIVES)
def test_verify(name):
    ckpt("verify", ARCHIVES[name])


def test_get():
    original = torch.load(TRAINING, weights_only=False)
    for at, value in [
        ("epoch", original["epoch"]), ("args", vars(original["args"])), ("best", float(original["best"])),
        ("optimizer/param_groups", original["optimizer"]["param_groups"]),
    ]:  # fmt: skip
        assert json.loads(ckpt("get", TRAINING, "--at", at)) == value, at
        document = ckpt("get", TRAINING, "--at", at, "--json")
        assert document["value"] == value and document["at"] == at


def test_get_tensors():
    """Small tensors are printed as `tolist()` gives them."""
    for source in ARCHIVES.values():
        account = ACCOUNTS.get(source.stem)
        if account is None or source.stem == "odd_keys":
            continue
        found = generate.state_dict_at(torch.load(source, weights_only=False), account["at"])
        for key, tensor in found.items():
            if not generate.plain_tensor(tensor) or tensor.is_meta or tensor.is_quantized or tensor.is_complex():
                continue
            at = key if account["at"] == "/" else f"{account['at']}/{key}"
            report = json.loads(ckpt("get", source, "--at", at))
            assert report["shape"] == list(tensor.shape) and report["dtype"] == str(tensor.dtype)[6:]
            if math.prod(max(size, 1) for size in tensor.shape) <= 64:
                expected = json.dumps((tensor.double() if "float" in report["dtype"] else tensor).tolist())
                assert json.dumps(report["values"]) == expected, f"{source.stem} {key}"


def check_edit(folder, arguments, edit):
    """What the command writes, beside the same edit of the loaded objects."""
    written, expected = folder / "edited.pt", torch.load(TRAINING, weights_only=False)
    edit(expected)
    ckpt(*arguments, "-o", written)
    assert_equal(expected, torch.load(written, weights_only=False))


VALUES = [0, -1, 2**70, 0.1, 1e300, True, None, "text", "\u00e9\n\U0001f600", [1, [2.5]], {"a": {"b": []}}]
PLACES = {
    "epoch": lambda o, v: o.__setitem__("epoch", v),
    "new": lambda o, v: o.__setitem__("new", v),
    "args/lr": lambda o, v: setattr(o["args"], "lr", v),
    "args/x": lambda o, v: setattr(o["args"], "x", v),
    "args/layers/1": lambda o, v: o["args"].layers.__setitem__(1, v),
    "adam/state/3/step": lambda o, v: o["adam"]["state"][3].__setitem__("step", v),
    "adam/state/17": lambda o, v: o["adam"]["state"].__setitem__(17, v),
    "model/module.fc.bias": lambda o, v: o["model"].__setitem__("module.fc.bias", v),
}
REMOVALS = {
    "optimizer": lambda o: o.pop("optimizer"),
    "args/lr": lambda o: delattr(o["args"], "lr"),
    "args/layers/0": lambda o: o["args"].layers.pop(0),
    "adam/state/2": lambda o: o["adam"]["state"].pop(2),
    "model/module.fc.bias": lambda o: o["model"].pop("module.fc.bias"),
}


@pytest.mark.parametrize(
    "at, value", [(at, value) for at in PLACES for value in (VALUES if at in ("epoch", "args/x") else VALUES[:1])])
def test_set(folder, at, value):
    check_edit(
        folder, ["set", TRAINING, "--at", at, "--value", json.dumps(value)], lambda objects: PLACES[at](objects, value))


@pytest.mark.parametrize("at", REMOVALS)
def test_drop(folder, at):
    check_edit(folder, ["drop", TRAINING, "--at", at], REMOVALS[at])


def walk(value):
    yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from walk(inner)


OPTIMIZERS = sorted((FIXTURES / "optimizers").glob("*.pt"))


@pytest.mark.parametrize("source", OPTIMIZERS, ids=[source.stem for source in OPTIMIZERS])
def test_optimizer_names(source):
    """`ls --optimizer` names what the optimizer keeps as PyTorch's own numbering says."""
    expected = json.loads(source.with_suffix(".json").read_text())["names"]
    found = ckpt("ls", source, "--optimizer", "--json")["optimizers"][0]
    loaded = torch.load(source, weights_only=False)
    state = next(v for v in walk(loaded) if isinstance(v, dict) and "param_groups" in v)["state"]
    if found["names"] != "unknown":
        # Lightning's state dict has the module under another name than the optimizer had it.
        names = [p["name"] for p in found["parameters"]]
        assert names == expected or names == [f"model.{name}" for name in expected], names
    for parameter in found["parameters"]:
        kept = state.get(int(parameter["id"]) if parameter["id"].isdigit() else parameter["id"], {})
        for entry in parameter["state"]:
            if entry.get("shape") is not None:
                assert list(kept[entry["key"]].shape) == entry["shape"]
        assert [entry["key"] for entry in parameter["state"]] == list(kept)


def model(name):
    """ResNet-50 or a small GPT-2 with random weights."""
    torch.manual_seed(0)
    if name == "resnet50":
        return torchvision.models.resnet50()
    config = transformers.GPT2Config(n_layer=3, n_embd=192, n_head=3, vocab_size=5000)
    return transformers.GPT2LMHeadModel(config)


@pytest.fixture(scope="module", params=["resnet50", "gpt2"])
def before_and_after(request, shared_folder):
    """Files of the state dicts of a model, and of the same after a step of training."""
    before, after = shared_folder / f"{request.param}.pt", shared_folder / f"{request.param}_after.pt"
    moved = model(request.param)
    torch.save(moved.state_dict(), before)
    with torch.no_grad():
        for number, parameter in enumerate(moved.parameters()):
            if number % 3:
                parameter.add_(torch.randn_like(parameter) * 10.0 ** -(number % 5))
    torch.save(moved.state_dict(), after)
    return before, after


def near(found, wanted, what, relative=1e-9):
    found, wanted = float(found), float(wanted)
    same = found == wanted or (math.isnan(found) and math.isnan(wanted))
    assert same or abs(found - wanted) <= relative * abs(wanted) + 1e-15, f"{what}: {found} is not {wanted}"


TENSOR_DIGEST, STATE_DICT_DIGEST = accounts.documented()


def test_stats(before_and_after):
    """Beside torch's own figures."""
    _, path = before_and_after
    weights = torch.load(path)
    entries = {entry["key"]: entry for entry in ckpt("stats", path, "--json")["tensors"]}
    assert list(entries) == list(weights)
    for key, tensor in weights.items():
        for what, value in accounts.statistics(tensor).items():
            near(entries[key][what], value, f"{key} {what}")


def test_hash(before_and_after):
    _, path = before_and_after
    weights = torch.load(path)
    report = ckpt("hash", path, "--each", "--json")
    assert report["sha256"] == STATE_DICT_DIGEST(weights)
    assert {t["key"]: t["sha256"] for t in report["tensors"]} == {
        key: TENSOR_DIGEST(tensor).hex() for key, tensor in weights.items()
    }


def test_hash_of_another_layout(folder, before_and_after):
    """The digest is the same for another order of keys, other strides, another name."""
    path, _ = before_and_after
    weights = torch.load(path)
    turned = {key: weights[key] for key in reversed(weights)}
    for key, tensor in turned.items():
        if tensor.dim() == 4:
            turned[key] = tensor.to(memory_format=torch.channels_last)
        elif tensor.dim() == 2:
            turned[key] = tensor.t().contiguous().t()
    other = folder / "turned.bin"
    torch.save({"state_dict": turned}, other)
    assert ckpt("hash", path).split()[0] == ckpt("hash", other).split()[0]


@pytest.mark.parametrize("rtol, atol", [(0, 0), (1e-3, 1e-5), (0.1, 0), (10, 10)])
def test_diff(before_and_after, rtol, atol):
    before, after = before_and_after
    a, b = torch.load(before), torch.load(after)
    bounds = ["--rtol", rtol, "--atol", atol]
    same = all(torch.allclose(a[key], b[key], rtol=rtol, atol=atol) for key in a)
    text = ckpt("diff", before, after, "--json", *bounds, status=0 if same else 1, output=True)
    report = text if same else json.loads(text)
    changed = {entry["key"]: entry for entry in report["changed"]}
    order = [float(entry["relative_change"]) for entry in report["changed"]]
    assert order == sorted(order, reverse=True)
    for key in a:
        x, y = a[key].double(), b[key].double()
        wrong = int((~torch.isclose(x, y, rtol=rtol, atol=atol)).sum())
        assert (key in changed) == (wrong > 0), key
        if wrong:
            entry = changed[key]
            assert entry["differing"] == wrong, f"{key}: {entry['differing']} is not {wrong}"
            near(entry["max_abs"], (x - y).abs().max(), key)
            relative = (x - y).abs() / y.abs()
            near(entry["max_rel"], relative[x != y].max(), key)
            near(entry["change_norm"], (x - y).norm(), key)
            near(entry["relative_change"], (x - y).norm() / max(x.norm(), y.norm()), key)
            near(entry["cosine"], torch.dot(x.flatten(), y.flatten()) / (x.norm() * y.norm()), key)


def test_diff_of_renamed(folder, before_and_after):
    before, _ = before_and_after
    weights = torch.load(before)
    other = folder / "renamed.pt"
    new = {f"backbone.{key}": tensor for key, tensor in weights.items()}
    # One that no other tensor is equal to.
    gone = next(key for key, tensor in weights.items() if tensor.dim() > 1 and "wte" not in key)
    del new[f"backbone.{gone}"]
    torch.save(new, other)
    report = json.loads(ckpt("diff", before, other, "--json", status=1, output=True))
    pairs = {entry["from"]: entry["to"] for entry in report["renamed"]}
    assert report["only_in_a"] == [gone] and report["only_in_b"] == []
    for old, new_key in pairs.items():
        assert torch.equal(weights[old], new[new_key])
    assert len(pairs) == len(new)


@pytest.mark.parametrize("name", [name for name in ARCHIVES if name in ACCOUNTS])
def test_hash_of_account(name):
    source, account = ARCHIVES[name], ACCOUNTS[name]
    # The account is of plain tensors alone.
    found = ckpt("hash", source, "--at", account["at"], "--each", "--json")
    others = [entry["key"] for entry in found["tensors"] if entry["key"] not in {tensor["key"] for tensor in account["tensors"]}]
    arguments = [word for key in others for word in ("--exclude", f"is:{key}")]
    assert ckpt("hash", source, "--at", account["at"], *arguments, "--json")["sha256"] == account["digest"]


def check_compact(folder, original):
    """A slice that was saved no longer drags its storage along; what shared elements still does."""
    source, written = folder / "whole.pt", folder / "compact.pt"
    torch.save(original, source)
    report = ckpt("compact", source, "-o", written, "--json", "--force")
    loaded = [torch.load(written, weights_only=True, mmap=mmap) for mmap in (False, True)]
    for result in loaded:
        assert list(result) == list(original)
        for key, tensor in original.items():
            assert result[key].shape == tensor.shape and torch.equal(result[key], tensor), key
            assert result[key].is_contiguous() or not tensor.is_contiguous(), key
    result = loaded[0]
    assert report["saved"] == report["storage_bytes_before"] - report["storage_bytes_after"]
    sizes = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in result.values()}
    assert sum(sizes.values()) == report["storage_bytes_after"]
    # What is written through one view is seen through the others, exactly as before.
    for key in original:
        if original[key].numel() and original[key].dtype == torch.float32 and 0 not in original[key].stride():
            original[key].mul_(3)
            result[key].mul_(3)
            for other in original:
                assert torch.equal(original[other], result[other]), f"{key} changes {other}"
    return report


def matrix(*shape):
    return torch.arange(math.prod(shape), dtype=torch.float32).reshape(shape)


def overlapping():
    base = matrix(100, 100)
    return {"a": base[:10], "b": base[5:20], "c": base[50:60], "d": base[50:60]}


def scalar_and_empty():
    big = matrix(1000, 1000)
    return {"x": big[3, 4], "y": big[:0]}


# What is saved, and how many bytes of storage are left of it.
SAVED = {
    "rows": (lambda: {"x": matrix(1000, 1000)[5:15]}, 40_000),
    "columns": (lambda: {"x": matrix(1000, 1000)[:, 3:5]}, 8_000),
    "steps": (lambda: {"x": matrix(1000, 1000)[::10, ::2].t()}, 200_000),
    "expanded": (lambda: {"x": matrix(10, 1)[2:4].expand(2, 5)}, 8),
    "scalar and empty": (scalar_and_empty, 4),
    "overlapping": (overlapping, 4 * (2000 + 1000)),
}


@pytest.mark.parametrize("name", SAVED)
def test_compact(folder, name):
    make, after = SAVED[name]
    report = check_compact(folder, make())
    assert report["storage_bytes_after"] == after, report["storage_bytes_after"]


def test_compact_columns_that_touch(folder):
    base = matrix(100, 100)
    check_compact(folder, {"q": base[:, :20], "k": base[:, 20:40], "again": base[:, 25:30]})


@pytest.mark.parametrize("seed", range(40))
def test_compact_random_views(folder, seed):
    pick = random.Random(800 + seed)
    base = matrix(40, 30)
    views = {}
    for index in range(pick.randrange(1, 6)):
        rows, columns = sorted(pick.sample(range(41), 2)), sorted(pick.sample(range(31), 2))
        view = base[rows[0] : rows[1] : pick.choice([1, 1, 3]), columns[0] : columns[1] : pick.choice([1, 1, 2])]
        views[f"v{index}"] = view.t() if pick.random() < 0.3 else view
    check_compact(folder, views)
