"""What the inspecting commands say, next to the same lines of Python."""

import json
import random
import zipfile

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


GROUPS = [scan, verify, edits, optimizer_names]
