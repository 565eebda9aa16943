"""Checks that `ckpt` sees and edits state dicts in every form that Python pickles them in (`fixtures/object_forms.py`),
whole modules, and objects that stand at several places, beside the same lines of Python."""

import collections
import copy
import json
import subprocess

import harness
import object_forms
import pytest
import torch
import torchvision
from compare import assert_equal
from harness import ckpt
from torch import nn

PROTOCOLS = (1, 2, 3, 4, 5)
STATE = {"m.a": torch.arange(3.0), "m.b": torch.ones(2, 2), "c": torch.tensor(1.5)}
VALUES = [torch.arange(2.0), "text", 5]
MAPPINGS = object_forms.mappings(STATE)
SEQUENCES = object_forms.sequences(VALUES)
RECORDS = object_forms.records(*VALUES)


def load(path):
    return torch.load(path, weights_only=False)


def same(got, want, kind):
    """The same entries in the same order, in an object of the same class."""
    assert type(got) is kind, f"{type(got)} for {kind}"
    assert list(got) == list(want), f"{list(got)} for {list(want)}"
    for key, value in want.items():
        assert_equal(got[key], value)


@pytest.fixture(params=PROTOCOLS, ids=lambda protocol: f"protocol {protocol}")
def protocol(request):
    return request.param


@pytest.mark.parametrize("name", MAPPINGS)
class TestMapping:
    """What ckpt makes of a state dict in one form, beside what Python makes of a dict."""

    @pytest.fixture
    def at(self, folder, name, protocol):
        at = folder / f"{name}_{protocol}.pt"
        torch.save({"model": MAPPINGS[name][0], "epoch": 3}, at, pickle_protocol=protocol)
        return at

    def test_is_seen(self, folder, at):
        plain, state = folder / "plain.pt", STATE
        torch.save(dict(state), plain)
        listing = ckpt("ls", at, "--json")
        assert listing["at"] == "model" and [t["key"] for t in listing["tensors"]] == list(state)
        ckpt("diff", at, plain)
        assert ckpt("hash", at, "--json")["sha256"] == ckpt("hash", plain, "--json")["sha256"]
        value = json.loads(ckpt("get", at, "--at", "model"))
        assert list(value) == list(state)

    def test_is_changed(self, folder, at, name):
        (_, kind), state = MAPPINGS[name], STATE
        out, plain = folder / "out.pt", folder / "plain.pt"

        def edited(want, *arguments):
            ckpt(*arguments, "-o", out, "--force")
            read = load(out)
            assert read["epoch"] == 3 and list(read) == ["model", "epoch"]
            same(read["model"], want, kind)
            if name == "easy":
                assert vars(read["model"]).keys() == want.keys()
            if name.endswith("_note"):
                assert read["model"].note == "kept"

        stripped = {key.removeprefix("m."): value for key, value in state.items()}
        edited(stripped, "rename-keys", at, "--strip-prefix", "m.")
        edited({k: v for k, v in state.items() if "b" not in k}, "filter", at, "--exclude", "b")
        edited({k: v for k, v in state.items() if k != "m.a"}, "drop", at, "--at", "model/m.a")
        edited(state | {"m.b": 7}, "set", at, "--at", "model/m.b", "--value", "7")
        edited(state | {"new": "x"}, "set", at, "--at", "model/new", "--value", '"x"')
        halves = {key: value.half() for key, value in state.items()}
        edited(halves, "convert", at, "--at", "model", "--to-dtype", "float16")
        torch.save(halves, plain)
        want = {key: value.float() for key, value in halves.items()}
        torch.save(want, plain)
        edited(want, "merge", at, plain)

    def test_is_written_alone(self, folder, at):
        state, out = STATE, folder / "out.pt"
        ckpt("convert", at, "--extract", "-o", out, "--force")
        read = torch.load(out, weights_only=True)
        assert list(read) == list(state)
        for key, value in state.items():
            assert_equal(read[key], value)


def items(folder, name, made, kind, values, protocol, fixed=False):
    at, out = folder / f"{name}_{protocol}.pt", folder / "out.pt"
    torch.save({"x": made}, at, pickle_protocol=protocol)
    place = "x/0" if name == "tuple_subclass" and protocol > 1 else "x"

    def edited(want, *arguments):
        ckpt(*arguments, "-o", out, "--force")
        read = load(out)["x"]
        assert type(read) is kind, f"{type(read)} for {kind}"
        got = [getattr(read, f) for f in ("first", "second", "third")] if hasattr(read, "first") else list(read)
        assert len(got) == len(want)
        for left, right in zip(got, want):
            assert_equal(left, right)

    for number in range(len(values)):
        want = list(values)
        want[number] = "new"
        edited(want, "set", at, "--at", f"{place}/{number}", "--value", '"new"')
        if not fixed:
            del want[number]
            edited(want, "drop", at, "--at", f"{place}/{number}")
    if not fixed:
        edited(list(values) + [1], "set", at, "--at", f"{place}/{len(values)}", "--value", "1")
    elif place == "x":
        assert "has no place" in ckpt("set", at, "--at", "x/3", "--value", "1", "-o", out, "--force", status=65)
        assert "cannot lose" in ckpt("drop", at, "--at", "x/1", "-o", out, "--force", status=65)


def record(folder, name, made, kind, fields, protocol):
    at, out = folder / f"{name}_{protocol}.pt", folder / "out.pt"
    torch.save({"x": made}, at, pickle_protocol=protocol)

    for field in fields:
        ckpt("set", at, "--at", f"x/{field}", "--value", '"new"', "-o", out, "--force")
        read = load(out)["x"]
        assert type(read) is kind
        for other, value in fields.items():
            assert_equal(getattr(read, other), "new" if other == field else value)


@pytest.mark.parametrize("name", SEQUENCES)
def test_sequence(folder, name, protocol):
    made, kind = SEQUENCES[name]
    items(folder, name, made, kind, VALUES, protocol)


@pytest.mark.parametrize(
    "name, protocol", [(name, protocol) for name in RECORDS for protocol in PROTOCOLS if name != "slots" or protocol > 1])
def test_record(folder, name, protocol):
    made, kind, is_named = RECORDS[name]
    if is_named:
        record(folder, name, made, kind, dict(zip(("first", "second", "third"), VALUES)), protocol)
    else:
        items(folder, name, made, kind, VALUES, protocol, fixed=True)


class Odd(nn.Module):
    """Shared modules and parameters, buffers that pass, None entries, lists and dicts of modules."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(2, 2)
        self.again = self.first
        self.norm = nn.BatchNorm1d(2)
        self.instance = nn.InstanceNorm1d(2, affine=True, track_running_stats=True)
        self.plain = nn.Linear(2, 2, bias=False)
        self.plain.weight = self.first.weight
        self.blocks = nn.ModuleList([nn.Sequential(nn.Conv2d(1, 1, 1), nn.ReLU()) for _ in range(2)])
        self.named = nn.ModuleDict({"x": nn.Embedding(3, 2), "y": nn.Identity()})
        self.none = None
        self.register_module("gone", None)
        self.register_parameter("no_parameter", None)
        self.register_buffer("no_buffer", None)
        self.register_buffer("passing", torch.ones(2), persistent=False)
        self.register_buffer("steps", torch.tensor(3))
        self.scale = nn.Parameter(torch.ones(1))
        self.many = nn.ParameterList([torch.ones(1), torch.zeros(2)])


def yolo():
    # It replaces torch.save and torch.load for the whole process, which other tests use.
    functions = torch.save, torch.load
    from ultralytics.nn.tasks import DetectionModel

    torch.save, torch.load = functions
    return DetectionModel("yolov8n.yaml", ch=3, nc=2, verbose=False)


MODULES = {
    "odd": Odd,
    "data_parallel": lambda: nn.DataParallel(Odd()),
    "resnet18": lambda: torchvision.models.resnet18(num_classes=3),
    "mobilenet": lambda: torchvision.models.mobilenet_v3_small(num_classes=3),
    "vit": lambda: torchvision.models.VisionTransformer(16, 8, 2, 2, 8, 16, num_classes=3),
    "attention": lambda: nn.Transformer(8, 2, 1, 1, 16),
    "traced": lambda: torch.fx.symbolic_trace(nn.Sequential(nn.Linear(2, 2), nn.ReLU())),
    "yolo": yolo,
}


@pytest.mark.parametrize("saved_by", [2, 4])
@pytest.mark.parametrize("name", MODULES)
def test_saved_whole(folder, name, saved_by):
    model = MODULES[name]()
    at, out, plain = folder / "whole.pt", folder / "out.pt", folder / "plain.pt"
    want = model.state_dict()
    torch.save({"epoch": 3, "ema": model, "optimizer": None}, at, pickle_protocol=saved_by)
    torch.save(want, plain)
    listing = ckpt("ls", at, "--json")
    assert listing["at"] == "ema"
    assert [t["key"] for t in listing["tensors"]] == list(want)
    ckpt("diff", at, plain)
    ckpt("check", at, "--against", plain)
    assert ckpt("hash", at, "--json")["sha256"] == ckpt("hash", plain, "--json")["sha256"]
    ckpt("filter", at, "--extract", "-o", out, "--force")
    read = torch.load(out, weights_only=True)
    assert list(read) == list(want) and type(read) is collections.OrderedDict
    for key, value in want.items():
        assert_equal(read[key], value)
        assert type(read[key]) is torch.Tensor and not read[key].requires_grad
        assert read[key].untyped_storage().data_ptr() in {
            read[other].untyped_storage().data_ptr() for other in want if same_storage(want[other], value)
        }
    # The versions that PyTorch records of its own classes.
    for name, entry in read._metadata.items():
        assert want._metadata[name] == entry, (name, entry)
    known = {n for n, m in model.named_modules() if type(m).__module__.startswith("torch.nn.modules.")}
    assert known <= read._metadata.keys(), known - read._metadata.keys()
    copy.deepcopy(model).load_state_dict(read)
    for arguments in [
        ("filter", at, "--exclude", list(want)[0]),
        ("rename-keys", at, "--add-prefix", "x."),
        ("convert", at, "--to-dtype", "float16"),
        ("merge", at, plain),
    ]:
        out.unlink(missing_ok=True)
        assert "--extract" in ckpt(*arguments, "-o", out, status=65)
        assert not out.exists()


def test_script_module(folder):
    model = torch.jit.script(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)))
    model.save(folder / "script.pt")
    ckpt("filter", folder / "script.pt", "--extract", "-o", folder / "out.pt", "--force")
    assert_equal(dict(torch.load(folder / "out.pt")), dict(model.state_dict()))


def hook(module, state, prefix, metadata):
    return state


def test_hooks_are_told(folder):
    model = nn.Linear(1, 1)
    model._register_state_dict_hook(hook)
    torch.save(model, folder / "hooked.pt")
    done = subprocess.run([harness.CKPT, "ls", folder / "hooked.pt"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "hook" in done.stderr


def same_storage(left, right):
    return left.untyped_storage().data_ptr() == right.untyped_storage().data_ptr()


def shared_state():
    state = collections.OrderedDict(w=torch.arange(4.0), b=torch.ones(2))
    state["tied"] = state["w"]
    state._metadata = collections.OrderedDict({"": {"version": 1}, "w": {"version": 1}})
    return state


def shared_cases():
    """One object at several places: what is saved, the place that is changed, the other places."""
    state = shared_state()
    inner = {"sd": dict(state), "n": 1}
    user = collections.UserDict(state)
    with_metadata = collections.OrderedDict(state)
    with_metadata._metadata = state._metadata
    pairs = [[key, value] for key, value in state.items()]
    cases = {
        "two names": ({"model": state, "best": state}, "model", ["best"]),
        "a parent": ({"a": inner, "b": inner}, "a/sd", ["b"]),
        "in a list": ({"model": state, "all": [1, state]}, "model", ["all/1"]),
        "of a list": ({"model": [state, state]}, "model/0", ["model/1"]),
        "in a tuple": ({"model": (state, 1), "best": state}, "model/0", ["best"]),
        "the wrapper's dict": ({"model": user, "raw": user.data}, "model", ["raw"]),
        "the wrapper": ({"model": user, "best": user}, "model", ["best"]),
        "an attribute": ({"x": object_forms.Record(state, 1, state), "y": 2}, "x/first", ["x/third"]),
        "metadata": ({"model": state, "best": with_metadata}, "model", ["best/_metadata"]),
        "arguments": (
            {
                "model": object_forms.Call(collections.OrderedDict, pairs),
                "best": object_forms.Call(collections.OrderedDict, pairs),
            },
            "model",
            [],
        ),
    }
    return cases


def place(value, path):
    for step in path.split("/"):
        if isinstance(value, (list, tuple)):
            value = value[int(step)]
        elif isinstance(value, object_forms.Record):
            value = getattr(value, step)
        else:
            value = value[step]
    return value


@pytest.mark.parametrize("name", shared_cases())
def test_one_object(folder, name):
    """One object at several places: the one that is named changes, the others stay as they were."""
    (root, at, others), state = shared_cases()[name], shared_state()
    source, out = folder / "shared.pt", folder / "out.pt"
    torch.save(root, source)
    read = load(source)
    old = {path: dict(place(read, path)) for path in others if "_metadata" not in path}
    report = ckpt("rename-keys", source, "--at", at, "--add-prefix", "x.", "-o", out, "--force", "--json")
    assert [entry["from"] for entry in report["separated"]] == ([others] if others else []), report["separated"]
    read = load(out)
    got = place(read, at)
    assert list(got) == [f"x.{key}" for key in state]
    assert_equal(got["x.w"], state["w"])
    for path, value in old.items():
        if "/" not in at or path != at.split("/")[0]:
            assert_equal(dict(place(read, path)), value)
    if name == "two names":
        assert list(read["best"]) == list(state) and list(read["best"]._metadata) == ["", "w"]
        assert "x.w" in got._metadata and "w" not in got._metadata, got._metadata
        assert same_storage(got["x.w"], read["best"]["w"]) and same_storage(got["x.w"], got["x.tied"])
    if name == "metadata":
        assert list(read["best"]._metadata) == ["", "w"]
    if name == "arguments":
        assert list(read["best"]) == list(state)
    # What is set is seen at both places, as in Python.
    if name == "two names":
        ckpt("set", source, "--at", "model/n", "--value", "1", "-o", out, "--force")
        read = load(out)
        assert read["best"]["n"] == 1 and read["best"] is read["model"]


def test_one_object_stays_one_if_nothing_changes(folder):
    state = shared_state()
    source, out = folder / "shared.pt", folder / "out.pt"
    torch.save({"model": state, "best": state}, source)
    report = ckpt("filter", source, "--at", "model", "-o", out, "--force", "--json")
    assert report["separated"] == []
    read = load(out)
    assert read["model"] is read["best"]


@pytest.mark.parametrize("at, other", [("first", "second"), ("second", "first")])
def test_shared_optimizer(folder, at, other):
    """An optimizer's state at two places: the one that is named loses parameters, the other one keeps them."""
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    state = optimizer.state_dict()
    source, out = folder / "optimizers.pt", folder / "out.pt"
    torch.save({"model": model.state_dict(), "first": state, "second": state}, source)
    report = ckpt("filter", source, "--at", at, "--include", "under:1", "-o", out, "--json", "--force")
    assert report["separated"] == [{"at": at, "from": [other]}]
    read = torch.load(out, weights_only=True)
    assert_equal(read[other], state)
    assert read[at]["param_groups"][0]["params"] == [0, 1]
    assert_equal(read[at]["state"], {0: state["state"][2], 1: state["state"][3]})
