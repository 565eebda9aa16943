"""Checkpoints of very many tensors: the memory that commands take, and that nothing is lost."""

import collections

import pytest
import torch
from harness import ckpt, launcher
from safetensors.torch import load_file, save_file

COUNT = 100_000
# 64 MB and 1 KB a tensor; 8 % more are for what differs between machines, such as the program's own pages.
LIMIT = (64 * 1024 + COUNT) * 27 // 25


def equal(found, expected):
    assert list(found) == list(expected), "other keys, or in another order"
    for key, tensor in expected.items():
        assert torch.equal(found[key], tensor), key


Many = collections.namedtuple("Many", "keys state zip_file tensors_file folder")


@pytest.fixture(scope="module")
def many(shared_folder):
    values = torch.arange(COUNT, dtype=torch.float32)
    keys = [f"model.layers.{i // 100}.block.{i % 100}.weight" for i in range(COUNT)]
    state = {key: values[i].repeat(2, 2) for i, key in enumerate(keys)}
    made = Many(keys, state, shared_folder / "many.pt", shared_folder / "many.safetensors", shared_folder)
    torch.save(state, made.zip_file)
    save_file(state, made.tensors_file)
    return made


def check_memory(launch, *arguments):
    status, memory, error = launch(*arguments)
    assert status == 0, error
    assert memory <= LIMIT, f"{memory} kB; the limit is {LIMIT}"


@pytest.mark.parametrize("options", [["ls"], ["ls", "--json"], ["show"]], ids=" ".join)
@pytest.mark.parametrize("kind", ["zip_file", "tensors_file"])
def test_memory_of_reading(many, launch, kind, options):
    command, *rest = options
    check_memory(launch, command, getattr(many, kind), *rest)


# What is written: the command, its input, its options, how the output's name ends.
WRITTEN = {
    "safetensors to zip": ("convert", "tensors_file", [], "pt"),
    "safetensors to safetensors": ("convert", "tensors_file", [], "safetensors"),
    "zip to safetensors": ("convert", "zip_file", [], "safetensors"),
    "filter": ("filter", "zip_file", ["--exclude", "block.7.weight"], "pt"),
    "rename-keys": ("rename-keys", "zip_file", ["--strip-prefix", "model."], "pt"),
}


@pytest.fixture(scope="module", params=WRITTEN)
def written(request, many):
    """A file that a command has written, and the command's status, peak memory and stderr."""
    command, source, options, ending = WRITTEN[request.param]
    out = many.folder / f"{request.param.replace(' ', '_')}.{ending}"
    with launcher(many.folder) as launch:
        return request.param, out, launch(command, getattr(many, source), *options, "-o", out)


def test_memory_of_writing(written):
    _, _, outcome = written
    check_memory(lambda: outcome)


def test_all_there(many, written):
    name, out, _ = written
    expected = many.state
    if name == "filter":
        expected = {k: v for k, v in expected.items() if not k.endswith("block.7.weight")}
    if name == "rename-keys":
        expected = {k.removeprefix("model."): v for k, v in expected.items()}
    found = load_file(out) if out.suffix == ".safetensors" else torch.load(out)
    # safetensors sorts keys; both ways they are compared by key alone.
    is_sorted = name.startswith("safetensors") or out.suffix == ".safetensors"
    equal(*(dict(sorted(x.items())) if is_sorted else x for x in (found, expected)))


def test_listing_is_one_document(many):
    found = ckpt("ls", many.zip_file, "--json")["tensors"]
    assert [row["key"] for row in found] == many.keys
    assert all(row["shape"] == [2, 2] for row in found)
