"""What `ckpt scan` says that a pickle does, beside what CPython's unpicklers do.

PICKLES=100000 make interop K=random_pickles        as many random pickles
"""

import argparse
import collections
import datetime
import enum
import functools
import inspect
import io
import json
import operator
import os
import pathlib
import pickle
import subprocess
import sys
import zipfile

import harness
import numpy
import pytest
import random_pickles
import torch

BATCH = 1000
READERS = ("bytes", "file", "python")
# What no pickler writes, and what fails for some values, which are not followed.
ODD = (
    "an item is set of a list or of bytes",
    "an item is appended to bytes",
    "it needs buffers",
    "the pickle ends without",
)


def scanned(folder):
    """The document of each file of a folder, whatever the verdict."""
    done = subprocess.run([harness.CKPT, "scan", str(folder), "--json"], capture_output=True, text=True)
    assert done.returncode in (0, 1, 65), done.stderr[:500]
    return {pathlib.Path(file["file"]).name: file for file in json.loads(done.stdout)["files"]}


def imported(document):
    """The names that a file's pickles import, as `find_class` is asked for them."""
    names = set()
    for one in document["globals"]:
        if one["module"] == "copyreg":
            names.add(("ext", "e" + one["name"].split()[1]))
        elif not one["name"].endswith(".__call__"):
            names.add((one["module"], one["name"]))
    return names


def compare(data, read, document):
    """What the scan says of a random pickle; raises if a name is lost or invented."""
    ours, verdict = imported(document), document["verdict"]
    names = {kind: {tuple(name) for name in read[kind][0]} for kind in READERS}
    union = set().union(*names.values())
    # At the end of a frame, the C module may go on elsewhere in the file.
    # No module has an empty name: importing it fails, whatever the process has.
    lost = {(module, name) for module, name in union - ours if module}
    assert not lost or any("frame" in one["what"] for one in document["findings"]), f"lost: {lost}"
    if verdict == "dangerous":
        return "disputed"
    registered = {f"e{code}" for code in random_pickles.EXTENSIONS}
    if any(module == "ext" and name not in registered for module, name in ours):
        # Another process may know the number, so that it goes on.
        return "odd"
    ends = {read[kind][2] for kind in READERS[1:]}
    if any(one["what"].startswith(ODD) for one in document["findings"]):
        return "odd"
    if document["findings"]:
        if any(read[kind][1] for kind in READERS):
            return "odd"
        assert ours <= union, f"invented: {ours - union}"
        return "stopped"
    if ends != {len(data)}:
        # What stands behind it is looked at, too.
        return "followed"
    assert ours == names["file"] == names["python"], f"invented: {ours - union}"
    assert read["file"][1] and read["python"][1]
    foreign = any(not random_pickles.OURS.match(module) and module != "ext" for module, _ in ours)
    if not foreign and b"P" not in data and b"Q" not in data:
        assert ours == names["bytes"] and read["bytes"][1]
    return "whole"


def test_random_pickles(folder):
    """No name that one of three unpicklers imports is lost, none is invented, and where they differ it says so."""
    count, seed = int(os.environ.get("PICKLES", "4000")), int(os.environ.get("SEED", "1"))
    kinds = collections.Counter()
    for start in range(0, count, BATCH):
        part = folder / str(start)
        part.mkdir()
        pickles = [random_pickles.make(seed, number) for number in range(start, min(count, start + BATCH))]
        for number, data in enumerate(pickles):
            (part / f"{number}.pkl").write_bytes(data)
        command = [sys.executable, random_pickles.__file__, str(seed), str(start), str(len(pickles))]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        documents = scanned(part)
        for number, (data, line) in enumerate(zip(pickles, done.stdout.splitlines(), strict=True)):
            # A file without a byte is no pickle.
            if not data:
                continue
            try:
                kinds[compare(data, json.loads(line), documents[f"{number}.pkl"])] += 1
            except AssertionError as error:
                raise AssertionError(f"pickle {start + number} of seed {seed}: {error}: {data}") from None
    print(dict(kinds))
    assert kinds["whole"] + kinds["stopped"] > count * 0.6, kinds
    assert kinds["disputed"] > count * 0.05, kinds


def data_pickle(value):
    """The pickle in a checkpoint of PyTorch."""
    file = io.BytesIO()
    torch.save(value, file)
    archive = zipfile.ZipFile(file)
    return archive.read(next(name for name in archive.namelist() if name.endswith("data.pkl")))


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 2)

    def forward(self, x):
        return self.layer(x)


class Kind(enum.Enum):
    ONE = 1


def benign():
    """What packages write, each with the verdict: safe, or unknown where a class of the file's own is in it."""
    layer = torch.nn.Linear(2, 2)
    arrays = [
        numpy.float32(1),
        numpy.arange(4.0),
        numpy.array([{}, 1], dtype=object),
        numpy.array(["a", "bb"]),
        numpy.array(["2020-01-01"], dtype="M8[D]"),
        numpy.array([True]),
        numpy.zeros((2, 0)),
    ]
    things = [
        argparse.Namespace(a=1),
        pathlib.PurePosixPath("/x"),
        datetime.datetime(2026, 1, 1),
        type(None),
        ...,
        NotImplemented,
        collections.Counter("aab"),
        collections.deque([1]),
        collections.defaultdict(list),
        {1},
        1j,
    ]
    for protocol in range(6):
        yield f"arrays {protocol}", "safe", pickle.dumps(arrays, protocol)
        yield f"things {protocol}", "safe", pickle.dumps(things, protocol)
        yield f"tensors {protocol}", "safe", pickle.dumps(layer.state_dict(), protocol)
        yield f"method {protocol}", "unknown", pickle.dumps(Model().forward, protocol)
        yield f"partial {protocol}", "unknown", pickle.dumps(functools.partial(torch.nn.LayerNorm, eps=1e-6), protocol)
        yield f"enum {protocol}", "unknown", pickle.dumps(Kind.ONE, protocol)
    yield "layer", "safe", data_pickle(layer)
    yield "model", "unknown", data_pickle(Model())
    yield "compiled", "unknown", data_pickle(torch.compile(layer))
    yield "optimizer", "safe", data_pickle(torch.optim.Adam(layer.parameters()).state_dict())
    yield "sparse", "safe", data_pickle(torch.eye(3).to_sparse())
    yield "functions", "unknown", data_pickle([torch.relu, torch.nn.functional.relu, torch.Tensor.add])
    yield "itemgetter", "safe", pickle.dumps(operator.itemgetter("a", 1), 4)
    yield "signature", "unknown", pickle.dumps(inspect.signature(pickle.dumps), 4)
    yield "structures", "unknown", pickle.dumps(numpy.zeros(3, dtype=[("a", "i4"), ("b", "f8")]), 4)


def test_what_packages_write(folder):
    expected = {}
    for name, verdict, data in benign():
        (folder / f"{name}.pkl").write_bytes(data)
        expected[f"{name}.pkl"] = verdict
    found = {name: document["verdict"] for name, document in scanned(folder).items()}
    assert found == expected


def changes_a_class():
    """Sets an attribute of the class of an instance, so that every path has it."""
    return b"cbuiltins\ntype\n(cpathlib\nPurePosixPath\n(tRtR(N}U\x07is_mendU\x00stb."


def numbers_memo():
    """The third entry of the memo has number 2, so that the names are builtins and print."""
    return b"\x80\x04U\x0bcollectionsq\x020U\x08builtinsq\x050U\x05print\x940h\x05h\x02\x93)R."


@pytest.mark.parametrize("trick", [changes_a_class, numbers_memo], ids=lambda trick: trick.__name__)
def test_tricks_work_and_are_seen(folder, trick):
    """Each of them does in CPython what its pickle says, and the scan sees it."""
    data = trick()
    (folder / "x.pkl").write_bytes(data)
    run = "import pickle, sys; from pathlib import PurePosixPath; pickle.loads(sys.stdin.buffer.read())"
    run += "; print(hasattr(PurePosixPath, 'is_mend'))"
    done = subprocess.run([sys.executable, "-c", run], input=data, capture_output=True, check=True)
    document = scanned(folder)["x.pkl"]
    if trick is numbers_memo:
        assert done.stdout == b"\nFalse\n"
        assert imported(document) == {("builtins", "print")}
    else:
        assert document["verdict"] == "dangerous"
