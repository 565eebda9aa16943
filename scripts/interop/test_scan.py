"""What `ckpt scan` finds, over a corpus of files that act and of checkpoints that do not, beside other scanners."""

import bz2
import json
import lzma
import os
import pathlib
import struct
import subprocess
import sys
import time
import zipfile
import zlib

import harness
import pytest
import scan_corpus
import scan_tricks
import scanners
from harness import ckpt


@pytest.fixture(scope="module")
def corpus(shared_folder):
    return scan_corpus.make(shared_folder / "corpus")


@pytest.fixture(scope="module")
def verdicts(corpus):
    return scanners.ckpt(harness.CKPT, [path for path, _, _ in corpus])


def test_nothing_that_acts_is_safe(corpus, verdicts):
    acting = [path for path, _, acts in corpus if acts]
    assert len(acting) > 250
    assert [path.name for path in acting if verdicts[path] == "safe"] == []


def test_most_that_acts_is_dangerous(corpus, verdicts):
    """Unknown is the answer only where the content cannot be read, or for a name of which nothing is known."""
    kinds = {path.stem for path, kind, acts in corpus if acts and kind != "name" and verdicts[path] != "dangerous"}
    assert kinds <= {"seven_zip"}, kinds


def test_nothing_benign_is_dangerous(corpus, verdicts):
    benign = [path for path, _, acts in corpus if not acts]
    assert len(benign) >= 60
    assert [path.name for path in benign if verdicts[path] == "dangerous"] == []


LOADING = """
import sys, os, io, bz2, gzip, lzma, pickle, tarfile, warnings, zipfile, zlib
warnings.simplefilter("ignore")
import numpy, torch
acted = []
sys.addaudithook(lambda event, args: acted.append(event) if event in ("os.system", "exec") and acted is not None else None)


def through(opener):
    def load(path):
        with opener(path) as file:
            pickle.load(file)
    return load


def every_pickle(path):
    with open(path, "rb") as file:
        while True:
            pickle.load(file)


def from_zlib(path):
    pickle.loads(zlib.decompress(open(path, "rb").read()))


loaders = {
    "torch.load": lambda path: torch.load(path, weights_only=False), "pickle": every_pickle,
    "numpy": lambda path: [array for array in [numpy.load(path, allow_pickle=True)] for _ in [array["a"]]],
    "npy": lambda path: numpy.load(path, allow_pickle=True),
    "gzip": through(gzip.open), "bz2": through(bz2.open), "xz": through(lzma.open), "zlib": from_zlib,
}
for line in sys.stdin:
    path = line.strip()
    found = []
    for name, load in loaders.items():
        acted.clear()
        try:
            load(path)
        except BaseException:
            pass
        # The loaders' own imports also run code.
        if "os.system" in acted or (acted.count("exec") == 1 and "python_2" in path):
            found.append(name)
    print(path, *found, flush=True)
"""


def test_variants_act(corpus):
    """A loader runs what the variants hold: they are no straw men."""
    paths = [path for path, kind, _ in corpus if kind == "variant"]
    direct = ("bare", "zip", "deflated", "legacy", "old_tar", "npy", "npz", "gzip", "bz2", "xz", "zlib")
    paths = [path for path in paths if path.name.split(".")[0].split("-")[1] in direct]
    done = subprocess.run(
        [sys.executable, "-c", LOADING], input="\n".join(map(str, paths)), capture_output=True, text=True
    )
    lines = [line.split() for line in done.stdout.splitlines()]
    acting = {pathlib.Path(line[0]).stem for line in lines if len(line) > 1}
    missing = {path.stem for path in paths} - acting
    # A second pickle is loaded by other code.
    assert {name for name in missing if not name.startswith("second")} == set(), missing


def test_benign_as_safe_as_picklescan_says(corpus, verdicts):
    benign = [path for path, _, acts in corpus if not acts]
    theirs = {path: scanners.verdict("picklescan", path) for path in benign}
    ours = [path for path in benign if verdicts[path] == "safe"]
    safe = [path for path in benign if theirs[path] == "safe"]
    assert len(ours) >= len(safe), sorted(path.name for path in set(safe) - set(ours))


def bombs():
    """Small files that would take long, or much memory, if they were taken at their word."""
    yield "pickles", b"N." * 490_000
    yield "text_pickles", b"cos\nsystem\n." * 80_000
    yield "brackets", scan_tricks.zipped([("x/data.pkl", b"]" * 40_000_000 + b".")], zipfile.ZIP_DEFLATED)
    yield "memo", b"\x80\x04" + b"]\x94" * 480_000 + b"."
    yield "names", b"\x80\x02" + b"".join(b"ca\nn%d\n0" % n for n in range(90_000)) + b"N."
    yield "gzip", zlib_bomb(31)
    yield "bzip2", bz2.compress(bytes(500_000_000))
    yield "bzip2_pickle", bz2.compress(b"]" * 200_000_000)
    yield "xz", lzma.compress(bytes(300_000_000))
    entry = scan_tricks.zipped([("a", b"]" * 700_000)])
    yield "overlapping", overlapping(entry, 5000)
    yield "ends", b"PK\x05\x06" + (b"PK\x05\x06" + bytes(18)) * 40_000
    yield "tar", scan_tricks.tarred([("", b"")] * 900)
    yield "zips", scan_tricks.zipped([("a", b"")]) * 8000
    nest = scan_tricks.evil()
    for _ in range(40):
        nest = scan_tricks.zipped([("a.zip", nest)])
    yield "nest", nest
    yield "json", b'{"chat_template": ' + b"[" * 900_000
    yield "template", json.dumps({"chat_template": "{{" * 400_000}).encode()
    yield "npy", b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + bytes(900_000)


def zlib_bomb(bits):
    pack = zlib.compressobj(9, wbits=bits)
    return b"".join([*(pack.compress(bytes(10_000_000)) for _ in range(80)), pack.flush()])


def overlapping(entry, count):
    """An archive whose directory lists one record many times, from other places."""
    at = entry.index(b"PK\x01\x02")
    listed = entry[at : entry.rindex(b"PK\x05\x06")]
    tail = bytearray(entry[entry.rindex(b"PK\x05\x06") :])
    tail[8:12] = struct.pack("<HH", count, count)
    tail[12:16] = struct.pack("<I", len(listed) * count)
    return entry[:at] + listed * count + bytes(tail)


@pytest.mark.parametrize("name, data", bombs(), ids=lambda value: value if isinstance(value, str) else "")
def test_bounds(folder, launch, name, data):
    """No file below 1 MB takes more than 100 MB or 5 s."""
    assert len(data) < 1_100_000, len(data)
    (folder / "bomb").write_bytes(data)
    start = time.monotonic()
    status, memory, error = launch("scan", folder / "bomb")
    took = time.monotonic() - start
    assert status in (0, 1, 65), (status, error)
    assert memory < 100_000 and took < 5, (memory, took)


def test_time_is_linear(folder, launch):
    times = []
    for count in (200_000, 800_000):
        (folder / "x").write_bytes(b"N." * count)
        start = time.monotonic()
        launch("scan", folder / "x")
        times.append(time.monotonic() - start)
    assert times[1] < 8 * max(times[0], 0.1), times


def test_sarif(corpus):
    """The document is what the object model of SARIF 2.1.0 demands."""
    from sarif_pydantic import Sarif

    paths = [path for path, _, _ in corpus if path.is_file()][:60]
    done = subprocess.run(
        [harness.CKPT, "scan", "--sarif", *map(str, paths)], capture_output=True, text=True
    )
    assert done.returncode == 1
    log = Sarif.model_validate(json.loads(done.stdout))
    assert log.version == "2.1.0"
    run = json.loads(done.stdout)["runs"][0]
    rules = run["tool"]["driver"]["rules"]
    assert {r["level"] for r in run["results"]} <= {"error", "warning"}
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
    uris = {a["location"]["uri"] for a in run["artifacts"]}
    assert uris == {path.resolve().as_uri() for path in paths}


def test_statuses(folder):
    """1 for what is dangerous, or reaches --fail-on; of several files the worst."""
    (folder / "evil").write_bytes(scan_tricks.evil())
    (folder / "clean").write_bytes(scan_tricks.CLEAN)
    (folder / "unknown").write_bytes(b"\x80\x02cmy.package\nThing\n)R.")
    ckpt("scan", folder / "clean")
    ckpt("scan", folder / "unknown")
    ckpt("scan", folder / "unknown", "--fail-on", "unknown", status=1)
    ckpt("scan", folder / "clean", folder / "evil", status=1)
    ckpt("scan", folder / "clean", folder / "missing", status=66)
    ckpt("scan", folder / "clean", "--fail-on", "nothing", status=64)
    (folder / "allow").write_text("my.package.Thing # ours\nnot.there # no\n")
    done = subprocess.run(
        [harness.CKPT, "scan", str(folder / "unknown"), "--fail-on", "unknown", "--allow", str(folder / "allow")],
        capture_output=True, text=True,
    )
    assert done.returncode == 0 and "not.there" in done.stderr, done
    (folder / "allow").write_text("my.package.Thing\n")
    ckpt("scan", folder / "unknown", "--allow", folder / "allow", status=64)


def test_terminal(folder):
    """Names in a file cannot move the cursor."""
    (folder / "x").write_bytes(b"\x80\x02cos\x1b[2J\nsystem\x07\n)R.")
    text = ckpt("scan", folder / "x")
    assert "\x1b" not in text and "\x07" not in text and "system" in text


def test_clean_file(folder):
    """What `filter --plain` makes of a dangerous file is safe, and PyTorch opens it."""
    import torch

    class Acts:
        def __reduce__(self):
            return os.system, ("true",)

    weights = torch.rand(3)
    torch.save({"w": weights, "x": Acts()}, folder / "evil.pt")
    ckpt("scan", folder / "evil.pt", status=1)
    ckpt("filter", folder / "evil.pt", "-o", folder / "clean.pt", "--plain")
    assert ckpt("scan", folder / "clean.pt", "--json")["verdict"] == "safe"
    assert torch.equal(torch.load(folder / "clean.pt", weights_only=True)["w"], weights)
    ckpt("convert", folder / "evil.pt", "-o", folder / "clean.safetensors", "--drop-objects")
    assert ckpt("scan", folder / "clean.safetensors", "--json")["verdict"] == "safe"
