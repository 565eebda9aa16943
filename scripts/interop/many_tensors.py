"""Checkpoints of very many tensors: the memory that commands take, and that nothing is lost."""

import json
import subprocess

import harness
import torch
from harness import check, launcher
from safetensors.torch import load_file, save_file

COUNT = 100_000
# 64 MB and 1 KB a tensor; a twentieth more is for what differs between machines, such as the program's own pages.
LIMIT = (64 * 1024 + COUNT) * 21 // 20


def equal(found, expected):
    assert list(found) == list(expected), "other keys, or in another order"
    for key, tensor in expected.items():
        assert torch.equal(found[key], tensor), key


def many_tensors(folder):
    values = torch.arange(COUNT, dtype=torch.float32)
    keys = [f"model.layers.{i // 100}.block.{i % 100}.weight" for i in range(COUNT)]
    state = {key: values[i].repeat(2, 2) for i, key in enumerate(keys)}
    zip_file, tensors_file = folder / "many.pt", folder / "many.safetensors"
    torch.save(state, zip_file)
    save_file(state, tensors_file)

    with launcher(folder) as launch:

        def run(name, *arguments):
            def action():
                status, memory, error = launch(*arguments)
                assert status == 0, error
                assert memory <= LIMIT, f"{memory} kB; the limit is {LIMIT}"

            check(f"{COUNT} tensors, {name}", action)

        for file in (zip_file, tensors_file):
            run(f"ls {file.suffix}", "ls", file)
            run(f"ls --json {file.suffix}", "ls", file, "--json")
            run(f"show {file.suffix}", "show", file)
        out = {name: folder / name for name in ("a.pt", "b.safetensors", "c.safetensors", "d.pt", "e.pt")}
        run("safetensors to zip", "convert", tensors_file, "-o", out["a.pt"])
        run("safetensors to safetensors", "convert", tensors_file, "-o", out["b.safetensors"])
        run("zip to safetensors", "convert", zip_file, "-o", out["c.safetensors"])
        run("filter", "filter", zip_file, "--exclude", "block.7.weight", "-o", out["d.pt"])
        run("rename-keys", "rename-keys", zip_file, "--strip-prefix", "model.", "-o", out["e.pt"])

    def listed():
        text = subprocess.run([harness.CKPT, "ls", zip_file, "--json"], capture_output=True, check=True).stdout
        found = json.loads(text)["tensors"]
        assert [row["key"] for row in found] == keys
        assert all(row["shape"] == [2, 2] for row in found)

    check(f"{COUNT} tensors, ls --json is one document", listed)
    # safetensors sorts keys; both ways they are compared by key alone.
    check("safetensors to zip, all there", lambda: equal(dict(sorted(torch.load(out["a.pt"]).items())), dict(sorted(state.items()))))
    for name in ("b.safetensors", "c.safetensors"):
        check(f"{name}, all there", lambda: equal(dict(sorted(load_file(out[name]).items())), dict(sorted(state.items()))))
    check("filter, all there", lambda: equal(torch.load(out["d.pt"]), {k: v for k, v in state.items() if not k.endswith("block.7.weight")}))
    check("rename-keys, all there", lambda: equal(torch.load(out["e.pt"]), {k.removeprefix("model."): v for k, v in state.items()}))


GROUPS = [many_tensors]
