"""Outputs: folders as Hugging Face's tools read them, what `convert` selects and casts, what is kept of metadata."""

import contextlib
import io
import json

import gguf
import numpy
import pytest
import safetensors
import safetensors.torch
import torch
import transformers
from bits import assert_same
from harness import ckpt


@pytest.fixture
def model():
    torch.manual_seed(0)
    config = transformers.GPT2Config(n_layer=2, n_embd=16, n_head=2, vocab_size=50, n_positions=8, tie_word_embeddings=False)
    return transformers.GPT2LMHeadModel(config)


@pytest.fixture
def source(folder, model):
    """The model's folder, with files beside it that belong to it, and one that does not."""
    source = folder / "model"
    with contextlib.redirect_stderr(io.StringIO()):
        model.save_pretrained(source)
    tokenizer = {"version": "1.0", "model": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"}}
    (source / "tokenizer.json").write_text(json.dumps(tokenizer))
    (source / "notes.txt").write_text("stays behind")
    return source


def test_folder_of_one_file(folder, model, source):
    """`-o DIR/` is what `from_pretrained` loads, with the files that belong to the model."""
    out = folder / "one"
    ckpt("convert", source, "-o", f"{out}/")
    names = {path.name for path in out.iterdir()}
    assert {"config.json", "generation_config.json", "tokenizer.json"} <= names and "notes.txt" not in names, names
    assert len([name for name in names if name.endswith(".safetensors")]) == 1, names
    for name in ["config.json", "generation_config.json", "tokenizer.json"]:
        assert (out / name).read_bytes() == (source / name).read_bytes()
    with contextlib.redirect_stderr(io.StringIO()):
        loaded = transformers.AutoModelForCausalLM.from_pretrained(out)
    assert_same(model.state_dict(), loaded.state_dict())


def test_folder_of_shards(folder, model, source):
    out = folder / "many"
    ckpt("shard", source, "--max-size", "10KB", "-o", out)
    assert (out / "model.safetensors.index.json").exists() and (out / "config.json").exists()
    with contextlib.redirect_stderr(io.StringIO()):
        loaded = transformers.AutoModelForCausalLM.from_pretrained(out)
    assert_same(model.state_dict(), loaded.state_dict())


def test_folder_without_what_belongs_to_the_model(folder, source):
    ckpt("convert", source, "--no-carry", "-o", f"{folder / 'bare'}/")
    assert [path.name for path in (folder / "bare").iterdir()] == ["model.safetensors"]


@pytest.fixture
def weights():
    torch.manual_seed(1)
    return {"body.w": torch.randn(5, 4), "body.norm": torch.randn(4), "ema.w": torch.randn(5, 4), "steps": torch.arange(3)}


def kept(model, wanted):
    return {k: v for k, v in model.items() if wanted(k, v)}


# The options, and what they make of a state dict.
SELECTIONS = {
    "exclude": (["--exclude", "under:ema"], lambda m: kept(m, lambda k, v: not k.startswith("ema."))),
    "glob": (["--include", "glob:*.w"], lambda m: kept(m, lambda k, v: k.endswith(".w"))),
    "dtype": (["--dtype", "long"], lambda m: kept(m, lambda k, v: v.dtype == torch.int64)),
    "size": (["--min-elements", "5"], lambda m: kept(m, lambda k, v: v.numel() >= 5)),
    "shape": (["--shape", "*,4"], lambda m: kept(m, lambda k, v: v.dim() == 2)),
    "cast": (
        ["--to-dtype", "fp16", "--cast-exclude", "norm"],
        lambda m: {k: v.half() if v.is_floating_point() and "norm" not in k else v for k, v in m.items()}),
    "select and cast": (
        ["--exclude", "under:ema", "--to-dtype", "bf16", "--cast-include", "under:body.w"],
        lambda m: {k: v.bfloat16() if k == "body.w" else v for k, v in m.items() if not k.startswith("ema.")}),
}


@pytest.mark.parametrize("name", SELECTIONS)
def test_selection(folder, weights, name):
    """`convert` writes what is selected, and casts what is meant to be."""
    options, make = SELECTIONS[name]
    torch.save(weights, folder / "a.pt")
    wanted = make(weights)
    for ending in ["safetensors", "pt"]:
        out = folder / f"out.{ending}"
        ckpt("convert", folder / "a.pt", *options, "-o", out, "--force")
        assert_same(wanted, safetensors.torch.load_file(out) if ending == "safetensors" else torch.load(out, weights_only=True))


def test_metadata_of_gguf(folder):
    """What a GGUF file says of itself is safetensors' `__metadata__`, where it is a number or a text."""
    writer = gguf.GGUFWriter(folder / "a.gguf", "llama")
    writer.add_uint32("llama.block_count", 2)
    writer.add_float32("llama.rope.freq_base", 10000.0)
    writer.add_bool("tokenizer.ggml.add_bos_token", True)
    writer.add_string("general.name", "tiny")
    writer.add_array("tokenizer.ggml.tokens", ["<s>", "a"])
    writer.add_tensor("blk.0.attn_q.weight", numpy.ones((4, 32), numpy.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    report = ckpt("convert", folder / "a.gguf", "-o", folder / "a.safetensors", "--json")
    assert report["lost_metadata"] == ["tokenizer.ggml.tokens"], report["lost_metadata"]
    with safetensors.safe_open(folder / "a.safetensors", "pt") as file:
        found = file.metadata()
    wanted = {"format": "pt", "general.architecture": "llama", "llama.block_count": "2", "general.name": "tiny",
              "tokenizer.ggml.add_bos_token": "true"}
    assert wanted.items() <= found.items(), found
    assert float(found["llama.rope.freq_base"]) == 10000.0
    ckpt("convert", folder / "a.safetensors", "-o", folder / "b.gguf")
    fields = gguf.GGUFReader(folder / "b.gguf").fields
    assert fields["general.architecture"].contents() == "llama" and "format" not in fields
