"""What the inspecting commands say, next to the same lines of Python."""

import json
import math
import random
import zipfile

import accounts
import generate
import torch
import torch._weights_only_unpickler as weights_only
from compare import assert_equal
from harness import FIXTURES, check, ckpt


def scan(folder):
    """Every name that `torch.load(weights_only=True)` would refuse is found, and no other is called unsafe."""
    allowed = set(weights_only._get_allowed_globals())

    def action(source):
        refused = set(torch.serialization.get_unsafe_globals_in_checkpoint(source))
        found = ckpt("scan", source, "--json")["globals"]
        # PyTorch calls Python 2's names by those of Python 3.
        found = [{**g, "module": g["module"].replace("__builtin__", "builtins")} for g in found]
        names = {f"{g['module']}.{g['name']}".replace("xrange", "range"): g["rating"] for g in found}
        # What getattr finds by constant names is told by its name.
        spelled = {f"{g['module']}.{g['name']}" for g in found if "." in g["name"]}
        if spelled:
            refused.discard("builtins.getattr")
        assert set(names) - allowed - spelled == refused, (set(names) - allowed - spelled) ^ refused
        assert all(names[name] == "safe" for name in set(names) & allowed)

    def can_be_listed(source):
        try:
            return torch.serialization.get_unsafe_globals_in_checkpoint(source) is not None
        except Exception:
            return False  # PyTorch's list knows few opcodes and no TorchScript.

    sources = [source for source in sorted(FIXTURES.glob("*.pt")) if can_be_listed(source)]
    for source in sources:
        check(f"scan {source.stem}", lambda: action(source))
    check("scan", lambda: None if len(sources) > 30 else 1 / 0)


def verify(folder):
    """A byte changed in any record is found, in the record in which Python finds it."""
    source = FIXTURES / "training.pt"
    whole, pick = source.read_bytes(), random.Random(3)

    def action(name, start, size):
        changed = bytearray(whole)
        changed[start + pick.randrange(size)] ^= 1 << pick.randrange(8)
        damaged = folder / "damaged.pt"
        damaged.write_bytes(changed)
        with zipfile.ZipFile(damaged) as archive:
            assert archive.testzip() == name
        # The report is on stdout, whatever the status.
        report = json.loads(ckpt("verify", damaged, "--json", status=1, output=True))
        assert [p["record"] for p in report["problems"] if p["record"]] == [name], report

    with zipfile.ZipFile(source) as archive:
        for info in archive.infolist():
            at = info.header_offset
            name, extra = (int.from_bytes(whole[at + i : at + i + 2], "little") for i in (26, 28))
            if info.file_size:
                record, start, size = info.filename, at + 30 + name + extra, info.file_size
                check(f"verify {record}", lambda: action(record, start, size))
    for source in sorted(FIXTURES.glob("*.pt")):
        check(f"verify {source.stem}", lambda: ckpt("verify", source))


def edits(folder):
    """`get`, `set` and `drop` beside the same on the loaded objects."""
    source, written = FIXTURES / "training.pt", folder / "edited.pt"

    def load(path):
        return torch.load(path, weights_only=False)

    def get():
        original = load(source)
        for at, value in [
            ("epoch", original["epoch"]), ("args", vars(original["args"])), ("best", float(original["best"])),
            ("optimizer/param_groups", original["optimizer"]["param_groups"]),
        ]:  # fmt: skip
            assert json.loads(ckpt("get", source, "--at", at)) == value, at
            document = ckpt("get", source, "--at", at, "--json")
            assert document["value"] == value and document["at"] == at

    def change(arguments, edit):
        expected = load(source)
        edit(expected)
        ckpt(*arguments, "-o", written, "--force")
        assert_equal(expected, load(written))

    def tensors():
        """Small tensors are printed as `tolist()` gives them."""
        for source in sorted(FIXTURES.glob("*.pt")):
            account = json.loads((FIXTURES / "accounts" / "accounts.json").read_text()).get(source.stem)
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

    values = [0, -1, 2**70, 0.1, 1e300, True, None, "text", "\u00e9\n\U0001f600", [1, [2.5]], {"a": {"b": []}}]
    places = [
        ("epoch", lambda o, v: o.__setitem__("epoch", v)), ("new", lambda o, v: o.__setitem__("new", v)),
        ("args/lr", lambda o, v: setattr(o["args"], "lr", v)), ("args/x", lambda o, v: setattr(o["args"], "x", v)),
        ("args/layers/1", lambda o, v: o["args"].layers.__setitem__(1, v)),
        ("adam/state/3/step", lambda o, v: o["adam"]["state"][3].__setitem__("step", v)),
        ("adam/state/17", lambda o, v: o["adam"]["state"].__setitem__(17, v)),
        ("model/module.fc.bias", lambda o, v: o["model"].__setitem__("module.fc.bias", v)),
    ]  # fmt: skip
    check("get", get)
    check("get tensors", tensors)
    for at, put in places:
        for value in values if at in ("epoch", "args/x") else values[:1]:
            call = ["set", source, "--at", at, "--value", json.dumps(value)]
            check(f"set {at} {value!r}", lambda: change(call, lambda o: put(o, value)))
    removals = [
        ("optimizer", lambda o: o.pop("optimizer")), ("args/lr", lambda o: delattr(o["args"], "lr")),
        ("args/layers/0", lambda o: o["args"].layers.pop(0)), ("adam/state/2", lambda o: o["adam"]["state"].pop(2)),
        ("model/module.fc.bias", lambda o: o["model"].pop("module.fc.bias")),
    ]  # fmt: skip
    for at, remove in removals:
        check(f"drop {at}", lambda: change(["drop", source, "--at", at], remove))


def optimizer_names(folder):
    """`ls --optimizer` names what the optimizer keeps as PyTorch's own numbering says."""

    def action(source):
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

    def walk(value):
        yield value
        for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            yield from walk(inner)

    for source in sorted((FIXTURES / "optimizers").glob("*.pt")):
        check(f"ls --optimizer {source.stem}", lambda: action(source))


def models(folder):
    """ResNet-50 and a small GPT-2 with random weights, and the same after a step of training."""
    import torchvision
    import transformers

    torch.manual_seed(0)
    config = transformers.GPT2Config(n_layer=3, n_embd=192, n_head=3, vocab_size=5000)
    for name, model in [("resnet50", torchvision.models.resnet50()), ("gpt2", transformers.GPT2LMHeadModel(config))]:
        before, after = folder / f"{name}.pt", folder / f"{name}_after.pt"
        torch.save(model.state_dict(), before)
        with torch.no_grad():
            for number, parameter in enumerate(model.parameters()):
                if number % 3:
                    parameter.add_(torch.randn_like(parameter) * 10.0 ** -(number % 5))
        torch.save(model.state_dict(), after)
        yield name, before, after


def near(found, wanted, what, relative=1e-9):
    found, wanted = float(found), float(wanted)
    same = found == wanted or (math.isnan(found) and math.isnan(wanted))
    assert same or abs(found - wanted) <= relative * abs(wanted) + 1e-15, f"{what}: {found} is not {wanted}"


def computed(folder):
    """stats, diff and hash of real models, beside torch's own figures."""
    tensor_digest, state_dict_digest = accounts.documented()

    def stats(path):
        weights = torch.load(path)
        entries = {entry["key"]: entry for entry in ckpt("stats", path, "--json")["tensors"]}
        assert list(entries) == list(weights)
        for key, tensor in weights.items():
            for what, value in accounts.statistics(tensor).items():
                near(entries[key][what], value, f"{key} {what}")

    def digest(path):
        weights = torch.load(path)
        report = ckpt("hash", path, "--each", "--json")
        assert report["sha256"] == state_dict_digest(weights)
        assert {t["key"]: t["sha256"] for t in report["tensors"]} == {
            key: tensor_digest(tensor).hex() for key, tensor in weights.items()
        }

    def other_layout(path):
        """The digest is the same for another order of keys, other strides, another name."""
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

    def diff(before, after, rtol, atol):
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

    def renamed(before):
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

    for name, before, after in models(folder):
        check(f"stats {name}", lambda: stats(after))
        check(f"hash {name}", lambda: digest(after))
        check(f"hash of another layout {name}", lambda: other_layout(before))
        for rtol, atol in [(0, 0), (1e-3, 1e-5), (0.1, 0), (10, 10)]:
            check(f"diff {name} {rtol} {atol}", lambda: diff(before, after, rtol, atol))
        check(f"diff, renamed, {name}", lambda: renamed(before))
    for source in sorted((FIXTURES).glob("*.pt")):
        account = json.loads((FIXTURES / "accounts" / "accounts.json").read_text()).get(source.stem)
        if account:
            check(f"hash {source.stem}", lambda: digests_agree(source, account))


def digests_agree(source, account):
    # The account is of plain tensors alone.
    found = ckpt("hash", source, "--at", account["at"], "--each", "--json")
    others = [entry["key"] for entry in found["tensors"] if entry["key"] not in {tensor["key"] for tensor in account["tensors"]}]
    arguments = [word for key in others for word in ("--exclude", f"is:{key}")]
    assert ckpt("hash", source, "--at", account["at"], *arguments, "--json")["sha256"] == account["digest"]


def compact(folder):
    """A slice that was saved no longer drags its storage along; what shared elements still does."""

    def action(name, original):
        source, written = folder / f"{name}.pt", folder / f"{name}_compact.pt"
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

    big = matrix(1000, 1000)

    def saves(name, original, after):
        report = action(name, original)
        assert report["storage_bytes_after"] == after, report["storage_bytes_after"]

    check("compact rows", lambda: saves("rows", {"x": matrix(1000, 1000)[5:15]}, 40_000))
    check("compact columns", lambda: saves("columns", {"x": matrix(1000, 1000)[:, 3:5]}, 8_000))
    check("compact steps", lambda: saves("steps", {"x": matrix(1000, 1000)[::10, ::2].t()}, 200_000))
    check("compact expanded", lambda: saves("expanded", {"x": matrix(10, 1)[2:4].expand(2, 5)}, 8))
    check("compact scalar and empty", lambda: saves("scalar", {"x": big[3, 4], "y": big[:0]}, 4))
    base = matrix(100, 100)
    tied = {"a": base[:10], "b": base[5:20], "c": base[50:60], "d": base[50:60]}
    check("compact overlapping", lambda: saves("tied", tied, 4 * (2000 + 1000)))
    base = matrix(100, 100)
    split = {"q": base[:, :20], "k": base[:, 20:40], "again": base[:, 25:30]}
    check("compact columns that touch", lambda: action("split", split))
    pick = random.Random(8)

    def any_views(number):
        base = matrix(40, 30)
        views = {}
        for index in range(pick.randrange(1, 6)):
            rows, columns = sorted(pick.sample(range(41), 2)), sorted(pick.sample(range(31), 2))
            view = base[rows[0] : rows[1] : pick.choice([1, 1, 3]), columns[0] : columns[1] : pick.choice([1, 1, 2])]
            views[f"v{index}"] = view.t() if pick.random() < 0.3 else view
        action("random", views)

    for number in range(40):
        check(f"compact random {number}", lambda: any_views(number))


GROUPS = [scan, verify, edits, optimizer_names, computed, compact]
