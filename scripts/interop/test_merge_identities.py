"""What `ckpt merge` takes for one tensor, one file and one model, beside PyTorch and mergekit."""

import contextlib
import io
import json
import logging
import os
import random

import pytest
import torch
import yaml
from harness import ckpt
from mergekit.config import MergeConfiguration
from mergekit.merge import run_merge
from mergekit.options import MergeOptions
from safetensors.torch import load_file, save_file, save_model
from transformers import LlamaConfig, LlamaForCausalLM


def same(found, expected, tolerance=0.0):
    assert set(found) == set(expected), set(found) ^ set(expected)
    for key, value in expected.items():
        assert found[key].dtype == value.dtype and found[key].shape == value.shape, key
        a, b = found[key].resolve_neg().resolve_conj(), value.resolve_neg().resolve_conj()
        if tolerance:
            assert torch.allclose(a, b, rtol=tolerance, atol=tolerance), (key, (a - b).abs().max())
        else:
            assert torch.equal(a, b), key


def random_views(layout, values, dtype):
    """Views of one storage, some of them with a sign or conjugated, some tied."""
    pick, generator = random.Random(layout), torch.Generator().manual_seed(values)
    base, result = torch.randn(64, dtype=dtype, generator=generator), {}
    for index in range(8):
        shape = pick.choice([[4], [2, 3], [3, 1], []])
        view = base.as_strided(shape, [pick.randrange(4) for _ in shape], pick.randrange(4))
        if pick.random() < 0.5:
            view = torch._neg_view(view)
        if dtype.is_complex and pick.random() < 0.5:
            view = view.conj()
        result[f"k{index}"] = result[f"k{index - 1}"] if index % 3 == 2 else view
    return result


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64, torch.float64], ids=str)
def test_merged_views(folder, dtype, seed):
    models = [random_views(seed, value, dtype) for value in (1, 2)]
    for name, model in zip("ab", models):
        torch.save(model, folder / f"views_{name}.pt")
    mean = {key: (models[0][key] + models[1][key]) / 2 for key in models[0]}
    a, b, out = (folder / f"views_{name}.pt" for name in ("a", "b", "out"))
    ckpt("merge", a, b, "--method", "linear", "--weights", "0.5", "-o", out, "--force")
    same(torch.load(out), mean, 1e-6)
    # The same as tensors of their own, for what looks at them.
    torch.save({key: value.resolve_conj().resolve_neg().clone() for key, value in models[0].items()}, folder / "own.pt")
    assert ckpt("hash", a, "--json")["sha256"] == ckpt("hash", folder / "own.pt", "--json")["sha256"]
    ckpt("diff", a, folder / "own.pt")
    differ = any(not torch.equal(models[0][key].resolve_neg().resolve_conj(), models[1][key].resolve_neg().resolve_conj()) for key in mean)
    ckpt("diff", a, b, status=1 if differ else 0, output=True)


def test_diff_of_complex_numbers_of_the_same_magnitudes(folder):
    z = torch.tensor([1 + 2j, 3 - 4j])
    torch.save({"z": z}, folder / "z.pt")
    for name, other in {"conj": z.conj().resolve_conj(), "minus": -z, "turned": z * 1j}.items():
        torch.save({"z": other}, folder / f"{name}.pt")
        report = ckpt("diff", folder / "z.pt", folder / f"{name}.pt", "--json", status=1, output=True)
        found = json.loads(report)["changed"][0]["max_abs"]
        assert abs(found - (z - other).abs().max().item()) < 1e-6, found


def files(folder, *models):
    paths = [folder / f"{index}.pt" for index in range(len(models))]
    for path, model in zip(paths, models):
        torch.save(model, path)
    return paths


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128], ids=str)
def test_complex_numbers(folder, dtype):
    models = [{"x": torch.randn(5, 3, dtype=dtype)} for _ in range(3)]
    paths, out = files(folder, *models), folder / "complex.pt"
    ckpt("merge", *paths, "--method", "swa", "-o", out, "--force")
    same(torch.load(out), {"x": sum(m["x"] for m in models) / 3}, 1e-6)
    base, *others = (m["x"] for m in models)
    ckpt("merge", *paths, "--method", "task-arithmetic", "--weights", "0.3,0.6", "-o", out, "--force")
    same(torch.load(out), {"x": base + 0.3 * (others[0] - base) + 0.6 * (others[1] - base)}, 1e-5)
    error = ckpt("merge", *paths[:2], "--method", "slerp", "--t", "0.5", "-o", folder / "no.pt", status=65)
    assert "x (complex" in error and not (folder / "no.pt").exists(), error


NUMBERS = [torch.randn(4, 4, generator=torch.Generator().manual_seed(seed)) for seed in range(2)]
QUANTIZED = {
    "codes": lambda n: torch.quantize_per_tensor(NUMBERS[n], 0.05, 0, torch.qint8),
    "scale": lambda n: torch.quantize_per_tensor(torch.zeros(4, 4), 0.05 * (n + 1), 0, torch.qint8),
    "channels": lambda n: torch.quantize_per_channel(
        torch.zeros(4, 4), torch.ones(4), torch.tensor([0, 0, 0, n]), 0, torch.quint8),
}


@pytest.mark.parametrize("name", QUANTIZED)
def test_quantized_tensors(folder, name):
    models = [{"w": torch.ones(2) * index, "q": QUANTIZED[name](index)} for index in range(2)]
    (a, b), out = files(folder, *models), folder / "quantized.pt"
    error = ckpt("merge", a, b, "--method", "swa", "-o", out, status=65)
    assert "q (" in error and "--keep-unmergeable" in error and not out.exists(), error
    report = ckpt("merge", a, b, "--method", "swa", "-o", out, "--keep-unmergeable", "--json")
    assert [one["key"] for one in report["kept"]["differing"]] == ["q"], report
    assert torch.load(out)["w"].tolist() == [0.5, 0.5]
    out.unlink()
    ckpt("merge", a, a, "--method", "swa", "-o", out)
    out.unlink()


def test_buffers(folder):
    models = [{"w": torch.ones(2), "num_batches_tracked": torch.tensor(index), "ids": torch.arange(3)} for index in range(2)]
    (a, b), out = files(folder, *models), folder / "buffers.pt"
    report = ckpt("merge", a, b, "--method", "swa", "-o", out, "--json")
    assert [one["key"] for one in report["kept"]["differing"]] == ["num_batches_tracked"], report
    assert torch.load(out)["num_batches_tracked"] == 0


def test_infinities(folder):
    a, b, out = (folder / f"inf_{name}.pt" for name in ("a", "b", "out"))
    values = torch.tensor([60000.0, -60000.0, 1.0, float("inf")])
    torch.save({"w": values.half()}, a)
    report = ckpt("merge", a, a, "--method", "linear", "--weights", "1", "--no-normalize", "-o", out, "--json")
    assert report["losses"] == [{"key": "w", "overflowed": 2, "vanished": 0, "not_numbers": 0}], report
    same(torch.load(out), {"w": values.half() + values.half()})
    torch.save({"mask": torch.full((3, 3), float("-inf")).triu(1)}, b)
    call = ["merge", b, b, "--method", "task-arithmetic", "--weights", "1", "-o", folder / "nan.pt"]
    error = ckpt(*call, status=65)
    assert "mask" in error and "NaN" in error and not (folder / "nan.pt").exists(), error
    report = ckpt(*call, "--on-nan", "keep", "--json")
    assert report["losses"][0]["not_numbers"] == 3, report
    expected = torch.load(b)["mask"] + (torch.load(b)["mask"] - torch.load(b)["mask"])
    assert torch.equal(torch.load(folder / "nan.pt")["mask"].isnan(), expected.isnan())


def test_bases_under_other_names(folder):
    torch.manual_seed(0)
    base = torch.randn(8, 8)
    tunes = [base + 0.1 * torch.randn(8, 8) for _ in range(2)]
    (folder / "model").mkdir()
    for path, w in zip(("model/model", "a", "b"), (base, *tunes)):
        save_file({"w": w}, folder / f"{path}.safetensors")
    first = folder / "model" / "model.safetensors"
    (folder / "symbolic").symlink_to(first)
    os.link(first, folder / "hard")
    (folder / "linked").symlink_to(folder / "model")
    expected = {"w": (sum(t.double() for t in tunes) / 2).float()}
    options = ["--method", "task-arithmetic", "--weights", "1", "--normalize"]
    for name in ("model/model.safetensors", "model", "symbolic", "hard", "linked", "./model/../hard"):
        out = folder / "out.safetensors"
        ckpt("merge", first, *(folder / f"{n}.safetensors" for n in "ab"), "--base", f"{folder}/{name}", *options, "-o", out, "--force")
        same(load_file(out), expected, 1e-6)


class Tied(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = torch.nn.Embedding(6, 4)
        self.head = torch.nn.Linear(4, 6, bias=False)
        self.head.weight = self.embed.weight


def test_ties_that_safetensors_records_come_back(folder):
    models = [Tied(), Tied()]
    for index, model in enumerate(models):
        save_model(model, str(folder / f"tied{index}.safetensors"))
    source, back = folder / "tied0.safetensors", folder / "back.pt"
    ckpt("convert", source, "-o", back)
    loaded = torch.load(back)
    same(loaded, models[0].state_dict())
    assert loaded["embed.weight"].data_ptr() == loaded["head.weight"].data_ptr()
    torch.save(models[1].state_dict(), folder / "tied1.pt")
    ckpt("merge", folder / "tied1.pt", source, "--method", "swa", "-o", folder / "mean.pt")
    expected = {k: (models[0].state_dict()[k] + models[1].state_dict()[k]) / 2 for k in loaded}
    same(torch.load(folder / "mean.pt"), expected, 1e-6)


def test_weights_by_key_on_tied_keys(folder):
    a, b = torch.randn(5), torch.randn(5)
    for name, w in (("x", a), ("y", b)):
        torch.save({"a.w": w, "b.w": w}, folder / f"{name}.pt")
    call = ["merge", folder / "x.pt", folder / "y.pt", "--method", "linear", "-o", folder / "keys.pt"]
    report = ckpt(*call, "--weights", "under:a=1,0", "--weights", "0,1", "--json")
    same(torch.load(folder / "keys.pt"), {"a.w": a, "b.w": b})
    assert report["broken_ties"] == [["a.w", "b.w"]], report


@pytest.fixture(scope="module")
def recipe_models(shared_folder):
    """A folder with three models: `tied`, `untied` and `other`."""
    for name, seed, tied in (("tied", 1, True), ("untied", 2, False), ("other", 3, False)):
        torch.manual_seed(seed)
        LlamaForCausalLM(LlamaConfig(
            vocab_size=32, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
            tie_word_embeddings=tied)).save_pretrained(shared_folder / name)
    return shared_folder


RECIPES = {
    "tied second": "models: [{model: ./untied, parameters: {weight: 0.25}}, {model: ./tied, parameters: {weight: 0.75}}]\nmerge_method: linear",
    "tied first": "models: [{model: ./tied, parameters: {weight: 0.25}}, {model: ./untied, parameters: {weight: 0.75}}]\nmerge_method: linear",
    "filter by the head's name": """
models:
  - model: ./untied
    parameters: {weight: 0.25}
  - model: ./tied
    parameters: {weight: [{filter: lm_head, value: 0.1}, {value: 0.75}]}
merge_method: linear""",
    "tied base": """
base_model: ./tied
models: [{model: ./untied, parameters: {weight: 0.5}}, {model: ./other, parameters: {weight: 0.25}}]
merge_method: task_arithmetic""",
    "tied in slices": """
slices:
  - sources:
      - {model: ./tied, layer_range: [0, 2]}
      - {model: ./untied, layer_range: [0, 2]}
base_model: ./tied
merge_method: slerp
parameters: {t: 0.25}""",
    "holder": """
shared: &scaled
  parameters: {scale: [{filter: q_proj, value: 0.5}, {value: 1.0}]}
slices:
  - sources: [{model: ./untied, layer_range: [0, 2], <<: *scaled}]
merge_method: passthrough""",
    "merged lists": """
anchors:
  - &three {weight: 3.0}
  - &normal {normalize: true}
  - &both {<<: [*three, *normal]}
models:
  - model: ./untied
    parameters: {<<: *both}
  - model: ./other
    parameters: {<<: [*three, *normal], weight: 2.0}
merge_method: linear""",
}


@pytest.mark.parametrize("name", RECIPES)
def test_recipe(recipe_models, name):
    folder, text = recipe_models, RECIPES[name].strip() + "\ndtype: float32\n"
    path = folder / "recipe.yml"
    path.write_text(text)
    reference, here = folder / f"reference {name}", os.getcwd()
    os.chdir(folder)
    logging.disable(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            run_merge(MergeConfiguration.model_validate(yaml.safe_load(text)), str(reference),
                      MergeOptions(copy_tokenizer=False, quiet=True, write_model_card=False))
    finally:
        os.chdir(here)
        logging.disable(logging.NOTSET)
    expected = {}
    for file in reference.glob("*.safetensors"):
        expected |= load_file(file)
    out = folder / "recipe.safetensors"
    ckpt("merge", "--config", path, "-o", out, "--force")
    same(load_file(out), expected, 1e-6)
