"""safetensors, shards and jobs, against safetensors, huggingface_hub, transformers, GNU parallel and Slurm."""

import functools
import json
import os
import random
import shutil
import subprocess

import harness
import huggingface_hub
import pytest
import safetensors
import safetensors.torch
import torch
import transformers
from bits import assert_same
from harness import FIXTURES, ROOT, ckpt

huggingface_hub.logging.set_verbosity_error()
transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()

DTYPES = [
    getattr(torch, name)
    for name in (
        "float64 float32 float16 bfloat16 float8_e4m3fn float8_e5m2 float8_e4m3fnuz float8_e5m2fnuz int8 int16"
        " int32 int64 uint8 uint16 uint32 uint64 bool complex64"
    ).split()
]


def random_tensor(pick):
    dtype = pick.choice(DTYPES)
    shape = [pick.randrange(5) for _ in range(pick.randrange(4))]
    count = torch.empty(shape, dtype=dtype).numel() * torch.empty(0, dtype=dtype).element_size()
    top = 1 if dtype == torch.bool else 255
    return torch.tensor([pick.randint(0, top) for _ in range(count)], dtype=torch.uint8).view(dtype).reshape(shape)


def random_tensors(seed):
    pick = random.Random(seed)
    parts = ["layer", "0", "1", "wé", "b", 'q"', "\\", "x y", "\n"]
    return {".".join(pick.choices(parts, k=pick.randrange(1, 5))): random_tensor(pick) for _ in range(pick.randrange(30))}


@pytest.mark.parametrize("seed", range(40))
def test_safetensors(folder, seed):
    """Both ways, to the byte."""
    tensors = random_tensors(seed)
    source, theirs, ours, back = (folder / name for name in ("a.pt", "t.safetensors", "o.safetensors", "b.pt"))
    torch.save(tensors, source)
    safetensors.torch.save_file(tensors, theirs, metadata={"format": "pt"})
    ckpt("convert", source, "-o", ours, "--at", "/", "--force")
    assert ours.read_bytes() == theirs.read_bytes(), "other bytes"
    ckpt("convert", theirs, "-o", back, "--force")
    assert_same(tensors, torch.load(back, weights_only=True))
    ckpt("rewrite", theirs, "-o", ours, "--force")
    assert ours.read_bytes() == theirs.read_bytes(), "other bytes when written anew"


def test_safetensors_views(folder):
    base = torch.arange(24.0).reshape(4, 6)
    model = {"t": base.t(), "step": base[:, ::2], "row": base[1], "wide": torch.ones(1).expand(3, 4)}
    model |= {"conj": torch.view_as_complex(torch.randn(5, 2)).conj(), "neg": torch.randn(4, 2, dtype=torch.complex64).conj().imag}
    torch.save(model, folder / "views.pt")
    ckpt("convert", folder / "views.pt", "--ties", "copy", "-o", folder / "views.safetensors")
    plain = {key: tensor.resolve_conj().resolve_neg().contiguous() for key, tensor in model.items()}
    assert_same(plain, safetensors.torch.load_file(folder / "views.safetensors"))


def test_safetensors_ties(folder):
    class Tied(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.a = torch.nn.Linear(4, 4)
            self.b = torch.nn.Linear(4, 4, bias=False)
            self.b.weight = self.a.weight

    model = Tied()
    torch.save(model.state_dict(), folder / "tied.pt")
    safetensors.torch.save_model(model, folder / "theirs.safetensors")
    report = ckpt("convert", folder / "tied.pt", "-o", folder / "tied.safetensors", "--json")
    assert report["tied"] == [{"key": "b.weight", "kept": "a.weight"}], report["tied"]
    with safetensors.safe_open(folder / "tied.safetensors", "pt") as file:
        assert file.metadata() == {"format": "pt", "b.weight": "a.weight"}
    assert_same(*(safetensors.torch.load_file(folder / f"{name}.safetensors") for name in ("theirs", "tied")))
    fresh = Tied()
    safetensors.torch.load_model(fresh, folder / "tied.safetensors")
    assert torch.equal(fresh.b.weight, model.a.weight)


GOOD_FILE = (FIXTURES / "formats" / "layers.safetensors").read_bytes()
GOOD_COUNT = int.from_bytes(GOOD_FILE[:8], "little")


def changed_headers():
    """250 headers, each changed at random in one place or two."""
    header = GOOD_FILE[8 : 8 + GOOD_COUNT].rstrip()
    pick = random.Random(7)
    snippets = [b"0", b"1", b"-1", b"1.0", b"{}", b"[]", b'"', b",", b":", b"null", b"}", b"]", b" ", b"\\u0041", b'"x":1,', b"\xff", b"F64"]
    for _ in range(250):
        changed = bytearray(header)
        for _ in range(pick.randrange(1, 3)):
            place = pick.randrange(len(changed))
            kind = pick.randrange(4)
            if kind == 0:
                changed[place] = pick.choice(b'0123456789",:{}[] \\abF')
            elif kind == 1:
                del changed[place : place + pick.randrange(1, 4)]
            elif kind == 2:
                changed[place:place] = pick.choice(snippets)
            else:
                # Space where JSON allows it.
                place = changed.find(b":", place) + 1
                changed[place:place] = b" \n"
        yield bytes(changed)


HEADERS = list(changed_headers())


@functools.cache
def verdicts(number, path):
    """The keys that the reference finds behind a changed header (None where it refuses it), and what the command says."""
    path.write_bytes(len(HEADERS[number]).to_bytes(8, "little") + HEADERS[number] + GOOD_FILE[8 + GOOD_COUNT :])
    try:
        with safetensors.safe_open(path, "pt") as file:
            keys = sorted(file.keys())
    except Exception:
        keys = None
    ours = subprocess.run([harness.CKPT, "ls", path, "--json", "--allow-empty"], capture_output=True, text=True)
    return keys, ours


@pytest.mark.parametrize("number", range(len(HEADERS)))
def test_header(shared_folder, number):
    """What the reference refuses is refused, what it takes is taken."""
    changed = HEADERS[number]
    keys, ours = verdicts(number, shared_folder / "x.safetensors")
    taken = keys is not None
    if taken and ours.returncode == 65:
        # Keys that occur twice are the one thing that is refused beyond the reference.
        assert "twice" in ours.stderr, (ours.stderr, bytes(changed))
        return
    assert taken == (ours.returncode == 0), (taken, ours.stderr, bytes(changed))
    if taken:
        assert sorted(entry["key"] for entry in json.loads(ours.stdout)["tensors"]) == keys


def test_header_variety(shared_folder):
    """Enough of the headers are taken, and enough refused, by both."""
    said = [verdicts(number, shared_folder / "x.safetensors") for number in range(len(HEADERS))]
    taken = sum(keys is not None and ours.returncode == 0 for keys, ours in said)
    refused = sum(keys is None and ours.returncode == 65 for keys, ours in said)
    assert min(taken, refused) > 20, (taken, refused)


def tensors_to_shard(seed):
    return {key: tensor for key, tensor in random_tensors(100 + seed).items() if tensor.numel()}


SHARDED = [seed for seed in range(12) if tensors_to_shard(seed)]


def check_shards(folder, seed, pattern, safe):
    """The same files as huggingface_hub's."""
    tensors = tensors_to_shard(seed)
    limit = random.Random(seed).choice([30, 60, 100, 200, 10_000])
    theirs, ours = folder / "theirs", folder / "ours"
    theirs.mkdir()
    torch.save(tensors, folder / "a.pt")
    huggingface_hub.save_torch_state_dict(tensors, theirs, max_shard_size=limit, safe_serialization=safe)
    options = () if safe else ("--format", "pytorch-index")
    ckpt("shard", folder / "a.pt", "--at", "/", "--max-size", limit, "-o", ours, "--force", *options)
    names = sorted(path.name for path in theirs.glob(pattern))
    assert names == sorted(path.name for path in ours.glob(pattern)), names
    for name in names:
        if name.endswith(".json"):
            assert json.loads((theirs / name).read_text()) == json.loads((ours / name).read_text())
        elif safe:
            assert (theirs / name).read_bytes() == (ours / name).read_bytes(), name
        else:
            assert_same(*(torch.load(place / name, weights_only=True) for place in (theirs, ours)))
    if len(names) > 1:
        ckpt("join", theirs, "-o", folder / "joined.safetensors", "--force")
        assert_same(tensors, safetensors.torch.load_file(folder / "joined.safetensors"))


@pytest.mark.parametrize("seed", SHARDED)
def test_shards(folder, seed):
    check_shards(folder, seed, "*safetensors*", True)


@pytest.mark.parametrize("seed", SHARDED)
def test_shards_of_pytorch(folder, seed):
    check_shards(folder, seed, "*bin*", False)


def test_transformers(folder):
    """Models that transformers loads."""
    config = transformers.GPT2Config(vocab_size=99, n_positions=16, n_embd=32, n_layer=3, n_head=2)
    gpt2 = transformers.GPT2LMHeadModel(config).eval()
    theirs = folder / "gpt2"
    gpt2.save_pretrained(theirs, max_shard_size="40KB")
    assert (theirs / "model.safetensors.index.json").exists()
    joined, again = folder / "gpt2.safetensors", folder / "again"
    ckpt("join", theirs, "-o", joined)
    again.mkdir()
    (theirs / "config.json").rename(again / "config.json")
    # From PyTorch's own file, ties and all.
    torch.save(gpt2.state_dict(), folder / "gpt2.pt")
    report = ckpt("shard", folder / "gpt2.pt", "--max-size", "40KB", "-o", again, "--json")
    assert [tie["key"] for tie in report["tied"]] == ["lm_head.weight"], report["tied"]
    for place in (again, joined):
        if place == joined:
            shutil.rmtree(again)
            again.mkdir()
            config.save_pretrained(again)
            shutil.copy(joined, again / "model.safetensors")
        loaded = transformers.GPT2LMHeadModel.from_pretrained(again).eval()
        assert_same(gpt2.state_dict(), loaded.state_dict())


def test_cache(folder):
    """Hugging Face's cache is links to blobs beside the snapshots."""
    repository = folder / "models--x"
    snapshot = repository / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (repository / "blobs").mkdir()
    for number, path in enumerate(sorted((FIXTURES / "formats" / "sharded").iterdir())):
        shutil.copy(path, repository / "blobs" / str(number))
        os.symlink(f"../../blobs/{number}", snapshot / path.name)
    assert len(ckpt("ls", snapshot, "--json")["tensors"]) == 6
    (snapshot / "model-00001-of-00002.safetensors").unlink()
    os.symlink("/etc/passwd", snapshot / "model-00001-of-00002.safetensors")
    assert "symbolic link" in ckpt("ls", snapshot, status=65)


@pytest.mark.parametrize("name", ["bfloat16", "float16", "float8_e4m3fn", "float8_e5m2", "float64"])
def test_conversion(folder, name):
    """`--to-dtype` as `tensor.to(dtype)`; what is lost is counted."""
    generator = torch.Generator().manual_seed(1)
    scale = 10.0 ** torch.randint(-44, 38, (400,), generator=generator).double()
    model = {
        "a": (torch.randn(400, generator=generator).double() * scale).float().reshape(20, 20),
        "b": torch.randn(7, 3, generator=generator).t(),
        "half": torch.randn(9, generator=generator).half() * 100,
        "n": torch.arange(5),
    }
    model["tied"] = model["a"]
    torch.save(model, folder / "a.pt")
    dtype = getattr(torch, name)
    out = folder / f"{name}.safetensors"
    report = ckpt("convert", folder / "a.pt", "--to-dtype", name, "--ties", "copy", "-o", out, "--json")
    expected = {k: t if k == "n" else t.to(dtype).contiguous() for k, t in model.items()}
    assert_same(expected, safetensors.torch.load_file(out))
    losses = {loss["key"]: (loss["overflowed"], loss["vanished"]) for loss in report["losses"]}
    before, after = model["a"].double(), expected["a"].double()
    saturated = name == "float8_e4m3fn"
    over = (before.abs() > 464 if saturated else ~after.isfinite()) & before.isfinite()
    gone = (after == 0) & (before != 0)
    # Two keys, one storage, each written.
    wanted = (2 * int(over.sum()), 2 * int(gone.sum()))
    assert losses.get("a", (0, 0)) == wanted, (losses, wanted)
    ckpt("convert", folder / "a.pt", "--to-dtype", name, "--cast-include", "is:b", "-o", folder / "b.pt", "--force")
    loaded = torch.load(folder / "b.pt", weights_only=True)
    assert loaded["b"].dtype == dtype and loaded["a"].dtype == torch.float32
    assert torch.equal(loaded["b"].double(), model["b"].to(dtype).double())


PLANNED = {
    "filter": ["filter", "SHARDED", "--exclude", "re:\\.3\\d\\."],
    "rename-keys": ["rename-keys", "SHARDED", "--replace", "layer=it's $a"],
    "merge": ["merge", "WHOLE", "SHARDED", "--extract", "--include", "glob:layer.1*.**"],
    "convert": ["convert", "WHOLE", "--to-dtype", "bfloat16", "--drop-objects"],
}


def planned(folder, name):
    """Makes the files that a command is planned for, and gives its words."""
    torch.manual_seed(0)
    model = {f"layer.{number}.weight": torch.randn(50, 20) for number in range(40)}
    torch.save({"model": model, "epoch": 1}, folder / "a.pt")
    torch.save({key: tensor + 1 for key, tensor in model.items()}, folder / "b.pt")
    sharded = folder / "in" / "model.safetensors.index.json"
    ckpt("convert", folder / "b.pt", "--max-size", "20KB", "-o", sharded)
    return [{"SHARDED": sharded, "WHOLE": folder / "a.pt"}.get(word, word) for word in PLANNED[name]]


def same(left, right):
    names = sorted(path.name for path in left.iterdir())
    assert names == sorted(path.name for path in right.iterdir()) and len(names) > 4, names
    for name in names:
        assert (left / name).read_bytes() == (right / name).read_bytes(), name


def check_jobs(folder, command, runner):
    """A plan that is run by others comes to the same bytes as one process."""
    whole, out = folder / "whole", folder / "out"
    options = ["--max-size", "20KB"]
    ckpt(*command, *options, "-o", whole / "model.safetensors.index.json")
    plan = ckpt("plan", *command, *options, "-o", out / "model.safetensors.index.json", "--jobs", 4)
    lines = plan.splitlines()
    assert len(lines) == 5 and "--index-only" in lines[-1], plan
    # A job that was done before, or stopped half way, does no harm.
    subprocess.run(lines[1], shell=True, check=True, stdout=subprocess.DEVNULL)
    next(path for path in out.iterdir()).unlink()
    (folder / "plan").write_text(plan)
    runner(folder / "plan")
    same(whole, out)


def parallel(plan):
    script = f'head -n -1 "{plan}" | parallel --will-cite --halt now,fail=1 && tail -n 1 "{plan}" | sh'
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(not shutil.which("parallel"), reason="GNU parallel is not installed (Debian: parallel)")
@pytest.mark.parametrize("name", PLANNED)
def test_parallel(folder, name):
    check_jobs(folder, planned(folder, name), parallel)


def test_slurm(folder):
    def slurm(plan):
        # The array's tasks are the lines but the last, which waits for them.
        script = f'''cd "{folder}" && tasks=$(($(wc -l <"{plan}") - 1))
array=$(sbatch --parsable -o "{folder}/%A-%a.log" --array=1-$tasks --wrap 'sed -n "${{SLURM_ARRAY_TASK_ID}}p" "{plan}" | sh')
sbatch --wait -o "{folder}/join.log" --dependency=afterok:$array --wrap 'tail -n 1 "{plan}" | sh' '''
        done = subprocess.run([ROOT / "scripts" / "slurm-node", "bash", "-c", script], capture_output=True, text=True)
        if done.returncode == 77:
            pytest.skip(done.stderr.strip())
        logs = "".join(path.read_text() for path in folder.glob("*.log"))
        assert done.returncode == 0, done.stderr + logs

    check_jobs(folder, planned(folder, "convert"), slurm)


BAD = FIXTURES / "formats" / "bad"
BAD_FILES = json.loads((BAD / "bad.json").read_text())


@pytest.mark.parametrize("item", BAD_FILES, ids=[item["file"] for item in BAD_FILES])
def test_bad_file(check_bad, item):
    check_bad(BAD / item["file"], item["says"])


@pytest.mark.parametrize(
    "fill",
    [b"[", b" ", b'{"' + b"a" * 62, b'{"a":{"x":' + b"[" * 54, b'{"__metadata__":{"a":"' + b"b" * 42],
    ids=["brackets", "space", "text", "deep", "metadata"])
def test_header_of_100_mb(folder, check_bad, fill):
    large = folder / "large.safetensors"
    header = fill + fill[-1:] * (100_000_000 - len(fill))
    large.write_bytes(len(header).to_bytes(8, "little") + header)
    check_bad(large, "ckpt: error: ")


WHOLE = (FIXTURES / "formats" / "layers.safetensors").read_bytes()


@pytest.mark.parametrize("part", range(0, len(WHOLE), 23))
def test_file_cut_short(folder, check_bad, part):
    cut = folder / "cut.safetensors"
    cut.write_bytes(WHOLE[:part])
    check_bad(cut, "ckpt: error: ")
