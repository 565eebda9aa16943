"""Commands that write, and what may be found if they are interrupted: the old output or the new one, whole."""

import dataclasses
import errno
import json
import os
import pathlib
import re
import shutil
import subprocess

import harness
import torch
from disk import tree_of

HERE = pathlib.Path(__file__).resolve().parent
# Names that are left behind only by a process that is killed, and that the next one removes.
LEFT = re.compile(r"(^|/)\.ckpt-[0-9a-z]+(-[0-9]+\.old(\.[a-z]+)?|\.tmp(/.*)?)$")


@dataclasses.dataclass
class Scenario:
    """A command whose output is `out`, a file, or a folder if it ends with a slash."""

    name: str
    arguments: list
    out: str
    old: list | None = None  # the arguments that write the output that is replaced

    def command(self, inputs, work):
        words = [word.replace("@", str(inputs) + "/") for word in self.arguments]
        force = ["--force"] if self.old else []
        return [harness.CKPT, *words, self.option, str(work) + "/" + self.out, *force]

    @property
    def option(self):
        return "--html" if self.out.endswith(".html") else "-o"


def make_inputs(folder):
    """What the commands read."""
    torch.manual_seed(0)
    state = {f"layers.{n}.weight": torch.randn(8, 8) for n in range(6)} | {"fc.bias": torch.randn(8)}
    other = {key: value + 1 for key, value in state.items()}
    torch.save({"state_dict": state, "epoch": 1}, folder / "a.pt")
    torch.save(other, folder / "b.pt")
    big = torch.randn(2_000_000)
    torch.save({"big": big, "part": big[:100]}, folder / "big.pt")
    torch.save({"part": big[:1000]}, folder / "slice.pt")
    conv = torch.nn.utils.weight_norm(torch.nn.Conv1d(4, 4, 3))
    torch.save(conv.state_dict(), folder / "normed.pt")
    (folder / "model").mkdir()
    subprocess.run([harness.CKPT, "convert", folder / "b.pt", "-o", f"{folder}/model/", "--no-progress"], check=True, capture_output=True)
    (folder / "model" / "config.json").write_text('{"new": 1}')
    subprocess.run([harness.CKPT, "shard", folder / "a.pt", "--drop-objects", "--max-size", "600", "-o", f"{folder}/shards/"], check=True, capture_output=True)


def scenarios():
    one = ["convert", "@b.pt"]
    shards, other_shards = ["shard", "@b.pt", "--max-size", "600"], ["shard", "@b.pt", "--max-size", "1200"]
    files = {
        "filter": ["filter", "@a.pt", "--exclude", "fc"],
        "rename-keys": ["rename-keys", "@a.pt", "--add-prefix", "x."],
        "merge": ["merge", "@b.pt", "@a.pt"],
        "average": ["merge", "--method", "linear", "--weights", "0.5,0.5", "@b.pt", "@a.pt"],
        "convert": ["convert", "@a.pt", "--to-dtype", "fp16"],
        "set": ["set", "@a.pt", "--at", "epoch", "--value", "3"],
        "drop": ["drop", "@a.pt", "--at", "epoch"],
        "compact": ["compact", "@slice.pt"],
        "fold": ["fold", "@normed.pt"],
        "join": ["join", "@shards"],
        "large": ["filter", "@big.pt", "--include", "big"],
    }
    found = []
    for name, arguments in files.items():
        found += [Scenario(name, arguments, "out.pt"), Scenario(name + " --force", arguments, "out.pt", one)]
    gone = {"safetensors": "out.safetensors", "gguf": "out.gguf", "npz": "out.npz"}
    convert = ["convert", "@a.pt", "--drop-objects"]
    found += [Scenario(name, convert, out) for name, out in gone.items()]
    found += [Scenario("safetensors --force", convert, "out.safetensors", one)]
    found += [Scenario("stats", ["stats", "@a.pt"], "page.html"), Scenario("diff", ["diff", "@a.pt", "@a.pt"], "page.html")]
    new = ["shard", "@a.pt", "--drop-objects", "--max-size"]
    whole = ["convert", "@a.pt", "--drop-objects"]
    folder = [
        ("shards", [*new, "600"], None), ("same shards", [*new, "600"], shards), ("more shards", [*new, "600"], other_shards),
        ("fewer shards", [*new, "1200"], shards), ("one file", whole, None), ("one file for one", whole, one),
        ("one file for shards", whole, shards), ("shards for one file", [*new, "600"], one),
        ("PyTorch's shards", [*new, "600", "--format", "pytorch-index"], None),
        ("PyTorch's shards --force", [*new, "600", "--format", "pytorch-index"], [*shards, "--format", "pytorch-index"]),
        ("with model files", ["shard", "@model", "--max-size", "600"], shards),
        ("distributed", [*whole, "--format", "pytorch-distributed"], None),
        ("distributed --force", [*whole, "--format", "pytorch-distributed"], [*one, "--format", "pytorch-distributed"]),
    ]
    return found + [Scenario(name, arguments, "out/", old) for name, arguments, old in folder]


class Case:
    """A scenario with its folders: `start` as it is before, `new` as it is after."""

    def __init__(self, scenario, inputs, folder):
        self.scenario, self.inputs, self.folder = scenario, inputs, folder
        self.start, self.work = folder / "start", folder / "work"
        self.start.mkdir(parents=True)
        if scenario.old:
            old = dataclasses.replace(scenario, arguments=scenario.old, old=None)
            self.check_run(subprocess.run(old.command(inputs, self.start), capture_output=True, text=True))
            if scenario.out.endswith("/"):
                (self.start / scenario.out / "notes.txt").write_text("somebody else's")
                (self.start / scenario.out / "config.json").write_text('{"old": 1}')
        self.old = tree_of(self.start)
        self.reset()
        self.counts = self.count()
        self.new = tree_of(self.work)
        self.digests = [self.digest()]
        if scenario.old:
            self.reset()
            self.digests.append(self.digest())
        self.whole = [self.meaning(self.old), self.meaning(self.new)]
        assert self.whole[0] != self.whole[1] and self.whole[1] is not None, scenario.name

    def digest(self):
        """What our own reader finds as the output."""
        return subprocess.run([harness.CKPT, "hash", "--json", self.work / self.scenario.out], capture_output=True).stdout

    @staticmethod
    def check_run(done):
        assert done.returncode == 0, f"{done.args}: {done.returncode}: {done.stderr}"

    def reset(self):
        shutil.rmtree(self.work, ignore_errors=True)
        shutil.copytree(self.start, self.work)

    def run(self, library, **variables):
        """Runs the command with the interposing library; `at` is FAULT_AT, and so on."""
        faults = {"FAULT_" + name.upper(): str(value) for name, value in variables.items()}
        environment = os.environ | {"LD_PRELOAD": str(library), "FAULT_ROOT": str(self.work)} | faults
        return subprocess.run(
            self.scenario.command(self.inputs, self.work), capture_output=True, text=True, env=environment, timeout=60)

    def count(self):
        """How often the command makes each kind of call."""
        path = self.folder / "counts"
        self.check_run(self.run(LIBRARY, counts=path))
        return {kind: int(number) for kind, number in (line.split() for line in path.read_text().splitlines())}

    def meaning(self, tree):
        """What a reader finds as the output; None if there is nothing. Raises ValueError for a part of something."""
        out = self.scenario.out
        if not out.endswith("/"):
            return tree.get(out)
        if out[:-1] not in tree:
            return None
        files = {path.removeprefix(out): data for path, data in tree.items() if path.startswith(out)}

        def file(name):
            if name not in files:
                raise ValueError(f"{name} is missing")
            return files[name]

        if ".metadata" in files:
            names = sorted(set(re.findall(rb"__\d+_\d+\.distcp", files[".metadata"])))
            return [re.sub(rb"__\d+_\d+\.distcp", b"", files[".metadata"])] + [file(name.decode()) for name in names]
        for ending, single, index in [("safetensors", "model.safetensors", "model.safetensors.index.json"),
                                      ("bin", "pytorch_model.bin", "pytorch_model.bin.index.json")]:
            if single in files:
                return files[single]
            if index in files:
                content = json.loads(files[index])
                return {key: file(name) for key, name in content["weight_map"].items()} | {"": content["metadata"]["total_size"]}
        raise ValueError(f"no checkpoint in {sorted(files)}")

    def check(self, tree, what, may_be_left):
        """Checks that a tree holds the old output or the new one, and nothing else; tells whether it is the new one."""
        try:
            meaning = self.meaning(tree)
        except ValueError as error:
            raise AssertionError(f"{self.scenario.name}: {what}: {error}: {sorted(tree)}") from None
        assert meaning in self.whole, f"{self.scenario.name}: {what}: neither the old output nor the new one: {sorted(tree)}"
        left = {path for path in tree if LEFT.search(path)}
        if not may_be_left:
            assert not left, f"{self.scenario.name}: {what}: left behind: {left}"
            assert set(tree) in (set(self.old), set(self.new)), f"{self.scenario.name}: {what}: {sorted(tree)}"
        for path, data in tree.items():
            if path in left or (path.endswith("/") or data is None):
                continue
            assert data in (self.old.get(path), self.new.get(path)) or "index.json" in path, f"{what}: {path}"
        for path in set(self.old) & set(self.new):
            assert path in tree, f"{self.scenario.name}: {what}: {path} is missing"
        return meaning == self.whole[1]

    def check_fault(self, done, what, is_killed=False, is_crash=False):
        """Checks the state after a run in which a call failed."""
        tree = tree_of(self.work)
        is_told = "an old file cannot be removed" in done.stderr
        is_new = self.check(tree, what, is_killed or is_crash or is_told)
        name = f"{self.scenario.name}: {what}"
        if is_killed or is_crash:
            if any(LEFT.search(path) for path in tree):
                if self.scenario.out.endswith("/") and self.scenario.out[:-1] in tree:
                    # The names that are left may be those of the checkpoint.
                    assert self.digest() in self.digests, name
                # The next run removes what is left, whatever it writes.
                words = self.scenario.command(self.inputs, self.work)
                again = subprocess.run([*dict.fromkeys([*words, "--force"])] if "--force" not in words else words, capture_output=True, text=True)
                self.check_run(again)
                # A distributed file gets the first name that is free, and what was left had one.
                names = [{re.sub(r"__0_\d+\.", "__0_0.", path) for path in tree} for tree in [tree_of(self.work), self.new]]
                assert names[0] == names[1], f"{name}: {sorted(tree_of(self.work))}"
            return
        lines = [line for line in done.stderr.splitlines() if not line.startswith(("ckpt: carried", "ckpt: warning", "ckpt: the state dict"))]
        if done.returncode == 0:
            assert is_new and not lines, f"{name}: {done.stderr}"
            return
        assert done.returncode in (73, 74), f"{name}: status {done.returncode}: {done.stderr}"
        assert lines and lines[0].startswith("ckpt: error: ") and len(lines) <= 2, f"{name}: {done.stderr}"
        assert not is_new or "in place" in done.stderr or done.returncode == 74, f"{name}: {done.stderr}"


LIBRARY = None

#: What is tried for the calls of each kind.
FAULTS = {
    "open": [errno.ENOSPC, errno.EIO, errno.EMFILE, "kill"],
    "read": [],
    "write": [errno.ENOSPC, errno.EIO, errno.EFBIG, errno.EINTR, "short", "zero", "kill", "after"],
    "fsync": [errno.EIO, errno.ENOSPC, errno.EINTR, "kill", "after"],
    "fallocate": [errno.ENOSPC, errno.EIO, errno.EINTR, errno.EOPNOTSUPP, "kill"],
    "link": [errno.ENOSPC, errno.EIO, errno.EPERM, errno.EINTR, "kill", "after"],
    "rename": [errno.ENOSPC, errno.EIO, errno.EINTR, "kill", "after"],
    "unlink": [errno.EIO, "kill", "after"],
    "mkdir": [errno.ENOSPC, errno.EIO, "kill", "after"],
    "thread": [errno.EAGAIN],
    "mmap": [errno.ENOMEM],
    "malloc": [errno.ENOMEM],
}


def build(folder):
    """Compiles the interposing library."""
    global LIBRARY
    LIBRARY = folder / "interposer.so"
    compiler = shutil.which("cc") or "clang"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", LIBRARY, HERE / "interposer.c", "-ldl", "-pthread"], check=True)
