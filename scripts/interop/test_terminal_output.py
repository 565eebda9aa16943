"""What commands print cannot move a terminal's cursor, color it, hide or forge lines, whatever a file says; their JSON
is valid, and their pages run no script but their own."""

import base64
import hashlib
import html.parser
import json
import os
import pickle
import pty
import re
import subprocess
import unicodedata

import gguf
import harness
import numpy
import pytest
import safetensors.torch
import torch
from PIL import Image

#: Each would do harm if it were printed as it is.
TRICKS = [
    "\x1b[2J", "\x1b]0;title\x07", "\x9b31m", "\u202egnp.exe", "\u2066x\u2069", "\u2028", "\u2029", "\x0bv", "\x0cf", "\x07", "\x7f",
    "a\nforged: all is well", "b\r\nforged", "\rforged", "c\x85forged", "\x08\x08\x08", "t\tab", "\ufeff", "\U000e0041", "\u200e", "\u061c",
    "<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "'; alert(1) //", "&amp;", "</style><svg onload=alert(1)>", "nul\x00nul"]
NAMES = [f"k{number}{trick}" for number, trick in enumerate(TRICKS)]


class Hostile:
    """An object of a class whose name is hostile."""

    def __init__(self, module, name):
        self.module, self.name = module, name


class Pickler(pickle._Pickler):
    """Writes references to classes that do not exist."""

    dispatch = dict(pickle._Pickler.dispatch)

    def save_hostile(self, value):
        for text in [value.module, value.name]:
            self.save(text)
        self.write(pickle.STACK_GLOBAL + pickle.EMPTY_TUPLE + pickle.NEWOBJ)

    dispatch[Hostile] = save_hostile


class PickleModule:
    """For torch.save: pickles with the class above."""

    Pickler, Unpickler, load, loads, dump, dumps = Pickler, pickle.Unpickler, pickle.load, pickle.loads, pickle.dump, pickle.dumps
    __name__ = "hostile"


@pytest.fixture(scope="module")
def files(shared_folder):
    folder = shared_folder / "h\x1b[31m\u202ex"
    folder.mkdir()
    torch.manual_seed(0)
    # Keys in modules, so that reports that group keys name them, too.
    state = {f"{name}.{part}": torch.randn(2, 2) for name in NAMES for part in ["weight", "bias"]}
    state[NAMES[0] + ".tied"] = state[NAMES[1] + ".weight"]
    state["nan"] = torch.full((2, 2), float("nan"))
    other = {key: value + 1 for key, value in state.items() if not key.startswith("k1")} | {NAMES[0] + "new": torch.ones(3)}
    objects = {name: Hostile(name, name) for name in NAMES}
    parameters = [torch.nn.Parameter(value) for value in list(state.values())[:4]]
    optimizer = torch.optim.Adam(parameters)
    sum((p * p).sum() for p in parameters).backward()
    optimizer.step()
    everything = {"state_dict": state, "objects": objects, "text": NAMES, "optimizer": optimizer.state_dict(), **{n: n for n in NAMES}}
    torch.save(everything, folder / "all.pt", pickle_module=PickleModule, pickle_protocol=4)
    torch.save(state, folder / "a.pt")
    torch.save(other, folder / "b\n.pt")
    plain = {key.replace("\0", ""): value.clone() for key, value in state.items()}
    safetensors.torch.save_file(plain, folder / "a.safetensors", {name.replace("\0", ""): name.replace("\0", "") for name in NAMES})
    writer = gguf.GGUFWriter(folder / "a.gguf", "llama")
    for name in NAMES:
        writer.add_string("general." + name, name)
    for key, value in list(plain.items())[:20]:
        if len(key.encode()) < 64:
            writer.add_tensor(key, value.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    numpy.savez(folder / "a.npz", **{name.replace("\0", "").replace("/", "_"): numpy.ones(2) for name in NAMES})
    subprocess.run([harness.CKPT, "shard", folder / "a.safetensors", "--max-size", "100", "-o", folder / "shards"], check=True, capture_output=True)
    damaged = bytearray((folder / "a.pt").read_bytes())
    place = damaged.index(state[NAMES[0] + ".weight"].numpy().tobytes())
    damaged[place] ^= 1
    (folder / "damaged.pt").write_bytes(damaged)
    (folder / "map.json").write_text(json.dumps({key: key + "2" for key in list(state)[:5]}))
    images = folder / "images"
    for split in ["train", "val"]:
        for name in NAMES[:20]:
            place = images / split / name.replace("\0", "").replace("/", "_")
            place.mkdir(parents=True)
            for number in range(2):
                Image.new("RGB", (8, 8), (number, 9, 9)).save(place / f"{number}\x1b[1m.png")
    (images / "train" / NAMES[0] / "bad\x1b[1m\n.png").write_bytes(b"no image")
    return folder


def calls(files):
    """Each command with hostile inputs: those that read, those that write, and those that fail."""
    every = ["all.pt", "a.pt", "b\n.pt", "a.safetensors", "a.gguf", "a.npz", "shards", "damaged.pt"]
    out = files / "out\x1b[1m\n.pt"
    a, b, whole = files / "a.pt", files / "b\n.pt", files / "all.pt"
    write = ["-o", out, "--force"]
    found = []
    for name in every:
        for command in [["ls"], ["show", "--depth", "9"], ["scan"], ["verify"], ["stats"], ["hash", "--each"], ["check"], ["get", "--at", "/"]]:
            found.append([*command[:1], files / name, *command[1:]])
        for command in ["filter", "compact", "fold", "join", "rewrite"]:
            found.append([command, files / name, *write])
        found.append(["convert", files / name, "-o", files / "out\n.safetensors", "--drop-objects", "--force"])
        found.append(["shard", files / name, "--max-size", "100", "-o", files / "out\x1b", "--drop-objects", "--force"])
    for number, trick in enumerate(NAMES):
        if "\0" in trick:
            continue
        at = trick.replace("\\", "\\\\").replace("/", "\\/")
        each = [["get", whole, "--at", at], ["set", whole, "--at", at, "--value", json.dumps(trick), *write], ["ls", whole, "--at", at],
                  ["drop", whole, "--at", at, *write], ["filter", a, "--include", f"in:{trick}", *write], ["filter", a, "--exclude", f"re:{trick}", *write],
                  ["rename-keys", a, "--add-prefix", trick, "--dry-run", *write], ["rename-keys", a, "--replace", f"k={trick}", "--dry-run", *write],
                  ["ls", files / trick], ["show", whole, "--record", trick], [trick], ["ls", a, "--" + trick], ["check", a, "--model", trick],
                  ["recipes", trick], ["filter", a, "-o", files / f"x.{trick}"], ["verify", a, "--model", trick], ["merge", a, b, "--method", trick, *write]]
        # Every trick in a third of the calls, and every call with a third of the tricks.
        found += [call for place, call in enumerate(each) if (place + number) % 3 == 0]
    found += [
        ["ls", whole, "--optimizer"], ["show", whole, "--optimizer"], ["ls", whole, "--at", "state_dict"],
        ["rename-keys", a, "--map", files / "map.json", *write], ["filter", whole, "--at", "state_dict", "--plain", *write],
        ["filter", whole, "--at", "state_dict", "--exclude", "in:k1", *write], ["rename-keys", whole, "--at", "state_dict", "--add-prefix", "x.", *write],
        ["merge", a, b, *write], ["merge", a, b, "--allow-new", *write], ["merge", a, b, "--skip-mismatched", "--allow-new", *write],
        ["merge", "--method", "linear", "--weights", "1,1", a, a, "--on-nan", "keep", *write], ["merge", "--method", "linear", "--weights", "1,1", a, a, *write],
        ["diff", a, b], ["diff", a, a], ["diff", whole, a], ["check", a, b], ["check", a, "--against", b], ["recipes"], ["recipes", "--yaml"], ["help"],
        ["plan", "shard", a, "--max-size", "100", "-o", files / "o.safetensors.index.json", "--jobs", "2"], ["--version"],
        ["plan", "shard", a, "--max-size", "100", "-o", files / "o.safetensors.index.json", "--jobs", "2", "--json"],
        ["fold", a, "--allow-empty", *write], ["repair", files / "damaged.pt", *write], ["repair", a, *write],
        ["drop", a, "--at", f"{NAMES[3]}.weight", *write], ["set", a, "--at", NAMES[3], "--value", json.dumps(NAMES[3]), *write],
        ["finetune", files / "images", "--model", "resnet18", "--weights", a, "--dry-run"],
        ["finetune", files / "images", "--model", "resnet18", "--dry-run", "--skip-bad"], ["finetune", files / "images", "--model", "resnet18", "--dry-run"],
        ["predict", a, files / "images" / "train" / NAMES[0] / "0\x1b[1m.png"], ["evaluate", a, files / "images"],
    ]
    return found


def is_harmless(character):
    return character == "\n" or character in "\u200c\u200d" or unicodedata.category(character) not in ("Cc", "Cf", "Zl", "Zp")


def run(arguments):
    return subprocess.run([harness.CKPT, *map(str, arguments)], capture_output=True, timeout=60)


def check_harmless(arguments, output):
    text = output.decode()
    harmful = {character for character in text if not is_harmless(character)}
    assert not harmful, f"{arguments}: {harmful} in {text!r:.300}"
    forged = [line for line in text.splitlines() if line.startswith(("forged", "ed: all"))]
    assert not forged, f"{arguments}: {text[:500]!r}"


def test_nothing_harmful_is_printed(files):
    statuses, commands = set(), set()
    for arguments in calls(files):
        done = run(arguments)
        assert done.returncode in (0, 1, 64, 65, 66, 73, 74), f"{arguments}: {done.returncode}: {done.stderr}"
        for output in [done.stdout, done.stderr]:
            check_harmless(arguments, output)
        assert done.returncode < 2 or done.stderr.count(b"ckpt: error: ") >= 1
        statuses.add(done.returncode)
        if done.returncode < 2:
            commands.add(arguments[0])
    assert {0, 1, 64, 65, 66} <= statuses, statuses
    listed = re.findall(r"^  ([a-z-]+) ", run(["--help"]).stdout.decode().partition("SUBCOMMANDS:")[2], re.M)
    assert listed and set(listed) - commands <= {"predict", "evaluate"}, set(listed) - commands


def test_json_is_valid_and_harmless(files):
    found = 0
    for arguments in calls(files):
        if arguments[0] in ("help", "--version", "plan") or "--yaml" in arguments:
            continue
        done = run([*arguments, "--json"])
        check_harmless(arguments, done.stdout)
        check_harmless(arguments, done.stderr)
        for text in done.stdout.splitlines() if arguments[0] == "finetune" else [done.stdout]:
            if text:
                json.loads(text)
                found += 1
    assert found > 100
    listing = json.loads(run(["ls", files / "a.pt", "--json"]).stdout)
    keys = json.dumps(listing, ensure_ascii=False)
    assert all(json.dumps(name + ".weight", ensure_ascii=False) in keys for name in NAMES)


class Page(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.scripts, self.attributes, self.policy, self.is_script = set(), [], set(), None, False
        self.links = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attributes}
        self.is_script = tag == "script"
        values = dict(attributes)
        self.links += [values.get("href")] if tag == "a" else []
        if values.get("http-equiv") == "Content-Security-Policy":
            self.policy = values["content"]

    def handle_endtag(self, tag):
        self.is_script = False

    def handle_data(self, data):
        if self.is_script:
            self.scripts.append(data)


def test_pages_run_no_script_from_the_data(files):
    for number, arguments in enumerate([["stats", files / "a.pt"], ["stats", files / "a.safetensors"], ["diff", files / "a.pt", files / "b\n.pt"]]):
        page = files / f"{number}.html"
        done = run([*arguments, "--html", page])
        assert done.returncode in (0, 1), done.stderr
        text = page.read_text()
        assert all(is_harmless(character) for character in text)
        found = Page(text)
        assert not found.tags & {"img", "iframe", "object", "embed", "link", "base", "form"}, found.tags
        assert all(re.fullmatch(r"#t\d+", link) for link in found.links), "links stay in the page"
        assert not [name for name in found.attributes if name.startswith("on")] and len(found.scripts) == 1
        digest = base64.b64encode(hashlib.sha256(found.scripts[0].encode()).digest()).decode()
        rules = dict(rule.strip().partition(" ")[::2] for rule in found.policy.split(";"))
        assert rules["default-src"] == "'none'" and rules["script-src"] == f"'sha256-{digest}'", found.policy
        assert "alert(1)" in text, "the keys are there"


def test_progress_is_harmless(files):
    """On a terminal, only the command's own lines are drawn over."""
    big = files / "big\x1b[5m.pt"
    torch.save({name: torch.zeros(3_000_000) for name in NAMES[:8]}, big)
    main, terminal = pty.openpty()
    process = subprocess.Popen([harness.CKPT, "stats", str(big)], stdout=terminal, stderr=terminal)
    os.close(terminal)
    output = b""
    while True:
        try:
            part = os.read(main, 65536)
        except OSError:
            break
        if not part:
            break
        output += part
    assert process.wait(timeout=60) == 0
    check_harmless("stats", output.replace(b"\r\n", b"\n").replace(b"\r", b""))
