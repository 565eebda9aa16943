"""Checks what `ckpt` does with state dicts beside the same lines of Python: regular expressions, check, suggestions,
recipes, --resize, optimizers that follow; on ResNet-50, ViT-B/16, GPT-2 and BERT with random weights."""

import collections
import functools
import json
import random
import re

import pytest
import timm
import torch
import torchvision
import transformers
from timm.layers import resample_abs_pos_embed
from timm.models._manipulate import adapt_input_conv
from timm.optim import param_groups_weight_decay
from torch import nn

import recipes
from compare import assert_equal
from harness import FIXTURES, ckpt

transformers.logging.set_verbosity_error()


def tiny(state_dict):
    """The same keys, shapes and types, with one element of storage each."""
    return {key: torch.zeros((), dtype=value.dtype).expand(value.shape) for key, value in state_dict.items()}


def random_patterns():
    """Regular expressions made at random, over the parts of random keys; those keys."""
    pick = random.Random(5)
    parts = ["layer", "conv", "bn", "weight", "bias", "attn", "q", "k1", "block_2", "é", "0", "11", "a-b"]
    keys = sorted({".".join(pick.choice(parts) for _ in range(pick.randrange(1, 6))) for _ in range(300)})

    def atom(depth):
        kind = pick.randrange(11 if depth < 3 else 7)
        if kind < 3:
            return re.escape(pick.choice(parts))
        if kind == 3:
            return pick.choice([".", r"\d", r"\w", r"\.", r"\D", r"\W", r"\b", r"\B", "^", "$"])
        if kind == 4:
            return pick.choice(["[a-k]", "[^.]", r"[\d_]", r"[^\w]", "[.é-]", r"[a-c\d]"])
        if kind < 7:
            return pick.choice("abelqy01.")
        inner = "|".join(sequence(depth + 1) for _ in range(pick.randrange(1, 3)))
        return pick.choice(["(%s)", "(?:%s)"]) % inner

    def sequence(depth=0):
        made = ""
        for _ in range(pick.randrange(1, 4)):
            one = atom(depth)
            repeat = pick.choice(["", "", "", "+", "*", "?", "+?", "{1,2}", "{2}", "*?"])
            made += one if one in ("^", "$", r"\b", r"\B") else one + repeat
        return made

    patterns = []
    for _ in range(120):
        pattern = sequence()
        # Groups that match nothing, repeated: engines differ, and nobody means it.
        if not re.search(r"\)[*+{]", pattern):
            patterns.append(pattern)
    return keys, patterns


KEYS, PATTERNS = random_patterns()


def groups_of(pattern):
    return "".join(rf"<\{n + 1}>" for n in range(min(re.compile(pattern).groups, 3)))


def replaced(pattern):
    """What Python's `re` makes of the keys."""
    groups = groups_of(pattern)
    return [re.sub(pattern, lambda match: match.expand(groups or "X"), key) for key in KEYS]


REPLACED = [pattern for pattern in PATTERNS if len(set(replaced(pattern))) == len(KEYS) and "" not in replaced(pattern)]


@pytest.fixture(scope="module")
def file_of_keys(shared_folder):
    source = shared_folder / "keys.pt"
    torch.save({key: torch.zeros(1) for key in KEYS}, source)
    return source


@pytest.mark.parametrize("pattern", PATTERNS)
def test_regular_expression(file_of_keys, pattern):
    """Regular expressions find what Python's `re` does."""
    wanted = [key for key in KEYS if re.search(pattern, key)]
    listed = ckpt("ls", file_of_keys, "--include", "re:" + pattern, "--allow-empty", "--json")
    assert [t["key"] for t in listed["tensors"]] == wanted, pattern


@pytest.mark.parametrize("pattern", REPLACED)
def test_regular_substitution(folder, file_of_keys, pattern):
    """And replace what it does."""
    template = re.sub(r"\\(\d)", r"$\1", groups_of(pattern)) or "X"
    done = ckpt("rename-keys", file_of_keys, "--regex", f"{pattern}=>{template}", "--dry-run", "--json",
                "-o", folder / "out.pt")  # fmt: skip
    assert {r["from"]: r["to"] for r in done["renamed"]} == {k: n for k, n in zip(KEYS, replaced(pattern)) if k != n}


MODELS = {
    "ResNet-50": lambda: torchvision.models.resnet50(weights=None),
    "ViT-B/16": lambda: torchvision.models.vit_b_16(weights=None),
    "GPT-2": lambda: transformers.GPT2LMHeadModel(transformers.GPT2Config(n_layer=2, vocab_size=2000, n_embd=96)),
    "BERT": lambda: transformers.BertForMaskedLM(
        transformers.BertConfig(num_hidden_layers=2, vocab_size=2000, hidden_size=96, intermediate_size=200)
    ),
}


@functools.cache
def model_of(name):
    return MODELS[name]()


def renamed(state_dict, rename):
    return collections.OrderedDict((rename(key), value) for key, value in state_dict.items())


def said(model, state_dict):
    """What `load_state_dict` says: missing, unexpected, keys of errors, whether strict loading goes through."""
    missing, unexpected = [], []

    def listen(module, keys):
        missing[:], unexpected[:] = keys.missing_keys, keys.unexpected_keys

    handle = model.register_load_state_dict_post_hook(listen)
    errors = []
    try:
        nn.Module.load_state_dict(model, state_dict, strict=False)
    except RuntimeError as error:
        errors = re.findall(r"size mismatch for (\S+):", str(error))
    handle.remove()
    return missing, unexpected, errors


def replace_last(own, value):
    return dict(own) | {list(own)[-1]: value}


# What is found in a model's place, made of its own state dict, and whether the file can be mended.
VARIANTS = {
    "same": (lambda own: dict(own), True),
    "module.": (lambda own: renamed(own, lambda k: "module." + k), True),
    "encoder": (
        lambda own: renamed(own, lambda k: "module.encoder_q." + k) | renamed(own, lambda k: "module.encoder_k." + k), True),
    "parts": (lambda own: renamed(own, lambda k: re.sub(r"(^|\.)weight$", r"\1kernel", k)), True),
    "less": (lambda own: dict(list(own.items())[:-1]), False),
    "more": (lambda own: dict(own) | {"extra.weight": torch.zeros(3)}, True),
    "wide": (lambda own: replace_last(own, torch.zeros(7, 7, 7)), False),
    "half": (lambda own: replace_last(own, list(own.values())[-1].half()), True),
}


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", MODELS)
def test_loading(folder, name, variant):
    """`check` says what `load_state_dict` says, and what it suggests makes the file load."""
    model = model_of(name)
    reference, source = folder / "reference.pt", folder / "found.pt"
    # Ties and all: the state dict of a model on the real device, but small files: shapes are what counts.
    own = model.state_dict()
    is_whole = name in ("GPT-2", "BERT")
    torch.save(own if is_whole else tiny(own), reference)
    make, is_mendable = VARIANTS[variant]
    found = make(own)
    torch.save(found if is_whole else tiny(found), source)
    missing, unexpected, errors = said(model, found)
    loads = not (missing or unexpected or errors)
    command = ["check", source, "--against", reference]
    told = ckpt(*command, "--json", status=0 if loads else 1, output=True)
    told = told if isinstance(told, dict) else json.loads(told)
    assert told["loadable"] == loads
    assert sorted(told["missing"]) == sorted(missing), told["missing"][:3]
    assert sorted(told["unexpected"]) == sorted(unexpected), told["unexpected"][:3]
    assert [m["key"] for m in told["mismatched"]] == errors
    assert len(told["loaded"]) == told["matched"]
    if loads or not is_mendable:
        return
    # Where two places fit equally, both are shown and none is chosen.
    places = told["places"] if variant == "encoder" else [told["suggestion"]]
    assert len(places) == (2 if variant == "encoder" else 1) and ("suggestion" in told) == (variant != "encoder")
    for suggested in places:
        assert suggested and suggested["loadable"], suggested
        ckpt(*command, *suggested["arguments"])
        mended = folder / "mended.pt"
        words = suggested["command"].split()
        assert words[0] == "ckpt"
        ckpt(words[1], source, *suggested["arguments"], "-o", mended, "--force")
        ckpt("check", mended, "--against", reference)
        loaded = torch.load(mended, weights_only=True)
        assert said(model, loaded) == ([], [], [])


class Real(recipes.Small):
    """The makers of models of real size."""

    def resnet(self, **options):
        return torchvision.models.resnet50(weights=None, **options)

    def torchvision_vit(self):
        return torchvision.models.vit_b_16(weights=None)

    def timm_vit(self, **options):
        return timm.create_model("vit_base_patch16_224", **options)

    def swin(self):
        return timm.create_model("swin_tiny_patch4_window7_224")

    def hf_resnet_pair(self):
        return transformers.ResNetForImageClassification(transformers.ResNetConfig(num_labels=1000)), self.resnet()

    def bert_config(self):
        return transformers.BertConfig()

    def gpt2_config(self):
        return transformers.GPT2Config()

    def llama_config(self):
        return transformers.LlamaConfig(num_hidden_layers=4)


# The same cases as of small models, whose names do not take long to read.
CASES = [name for name, _, _ in json.loads((FIXTURES / "recipes" / "recipes.json").read_text())["cases"]]


@functools.cache
def real_cases():
    with torch.device("meta"):
        return list(recipes.cases(Real()))


@pytest.mark.parametrize("number", range(len(CASES)), ids=[f"{number} {name}" for number, name in enumerate(CASES)])
def test_recipe(folder, number):
    """Recipes make of a checkpoint's keys those of the real library, with models of real size and their shapes."""
    assert [name for name, _, _ in real_cases()] == CASES
    name, found, wanted = real_cases()[number]
    source, written = folder / "found.pt", folder / "renamed.pt"
    torch.save({k: torch.zeros(()).expand(v.shape) for k, v in found.items()}, source)
    ckpt("rename-keys", source, "--recipe", name, "-o", written)
    loaded = torch.load(written, weights_only=True)
    assert set(loaded) == set(wanted), sorted(set(loaded) ^ set(wanted))[:4]
    for key, value in wanted.items():
        assert loaded[key].shape == value.shape, key


def test_resizing_of_vit(folder):
    """--resize gives what timm, transformers and PyTorch make of the same values."""
    old = timm.create_model("vit_tiny_patch16_224", depth=2, num_classes=10)
    new = timm.create_model("vit_tiny_patch16_224", depth=2, num_classes=7, img_size=96, in_chans=5)
    source, fresh, merged = folder / "old.pt", folder / "new.pt", folder / "merged.pt"
    torch.save(old.state_dict(), source)
    torch.save(new.state_dict(), fresh)
    ckpt("merge", fresh, source, "-o", merged, "--resize", "pos_embed=bicubic", "--resize",
         "patch_embed.proj.weight=channels", "--resize", "under:head=reinit", "--seed", 3)  # fmt: skip
    found = torch.load(merged, weights_only=True)
    new.load_state_dict(found, strict=True)
    weights = old.state_dict()
    expected = dict(weights)
    expected["pos_embed"] = resample_abs_pos_embed(weights["pos_embed"], [6, 6])
    expected["patch_embed.proj.weight"] = adapt_input_conv(5, weights["patch_embed.proj.weight"])
    torch.manual_seed(3)
    head = nn.Linear(192, 7)
    expected["head.weight"], expected["head.bias"] = head.weight.detach(), head.bias.detach()
    for key, value in expected.items():
        if key == "pos_embed":
            assert torch.allclose(found[key], value, atol=2e-6, rtol=0), (found[key] - value).abs().max()
        else:
            assert torch.equal(found[key], value), key


def test_resizing_of_gpt2(folder):
    config = transformers.GPT2Config(n_layer=1, vocab_size=120, n_embd=48, n_head=2)
    old, bigger = transformers.GPT2LMHeadModel(config), transformers.GPT2LMHeadModel(config)
    bigger.resize_token_embeddings(128, mean_resizing=False)
    source, fresh, merged = folder / "old.pt", folder / "new.pt", folder / "merged.pt"
    torch.save(old.state_dict(), source)
    torch.save(bigger.state_dict(), fresh)
    ckpt("merge", fresh, source, "-o", merged, "--force", "--resize", "glob:{transformer.wte,lm_head}.weight=pad")
    found = torch.load(merged, weights_only=True)
    rest = bigger.state_dict()["transformer.wte.weight"][120:]
    wanted = torch.cat([old.state_dict()["transformer.wte.weight"], rest])
    assert torch.equal(found["transformer.wte.weight"], wanted)
    bigger.load_state_dict(found, strict=True)
    assert torch.equal(bigger.lm_head.weight, wanted)


def trained(model, optimizer):
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter)
    optimizer.step()
    return {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 1}


def vector_groups(model):
    decay = [v for k, v in model.named_parameters() if v.ndim > 1 and not k.endswith("bias")]
    rest = [v for k, v in model.named_parameters() if not (v.ndim > 1 and not k.endswith("bias"))]
    return [{"params": decay, "weight_decay": 0.1}, {"params": rest, "weight_decay": 0.0}]


# The model, the part that is cut off, how, and its optimizer.
TRAINED = {
    "ResNet-50 SGD": (
        lambda: torchvision.models.resnet50(weights=None), "fc", lambda m: setattr(m, "fc", nn.Identity()),
        lambda m: torch.optim.SGD(m.parameters(), lr=0.1, momentum=0.9)),
    "ResNet-18 names": (
        lambda: torchvision.models.resnet18(weights=None), "fc", lambda m: setattr(m, "fc", nn.Identity()),
        lambda m: torch.optim.Adam(m.named_parameters(), lr=0.1)),
    "ViT timm's groups": (
        lambda: timm.create_model("vit_tiny_patch16_224", depth=2), "head", lambda m: m.reset_classifier(0),
        lambda m: torch.optim.AdamW(param_groups_weight_decay(m, 0.05, m.no_weight_decay()), lr=0.1)),
    "BERT groups": (
        lambda: transformers.BertForMaskedLM(transformers.BertConfig(
            num_hidden_layers=1, vocab_size=60, hidden_size=24, num_attention_heads=2, intermediate_size=30)),
        None, None, lambda m: torch.optim.AdamW(vector_groups(m), lr=0.1)),
}  # fmt: skip


@pytest.mark.parametrize("name", TRAINED)
def test_optimizer_follows(folder, name):
    """An optimizer's state that follows its model fits the smaller model's optimizer, value for value."""
    make, part, cut, optimize = TRAINED[name]
    model = make()
    optimizer = optimize(model)
    source, written = folder / "trained.pt", folder / "cut.pt"
    torch.save(trained(model, optimizer), source)
    names = {id(parameter): key for key, parameter in model.named_parameters()}
    state = {names[id(p)]: s for p, s in optimizer.state.items()}
    listed = ckpt("ls", source, "--optimizer", "--json")
    told = [p["name"] for p in listed["optimizers"][0]["parameters"]]
    order = [names[id(p)] for group in optimizer.param_groups for p in group["params"]]
    assert told == order, [pair for pair in zip(told, order) if pair[0] != pair[1]][:3]
    if part is None:
        return
    ckpt("filter", source, "--exclude", f"under:{part}", "--optimizer", "params=auto", "-o", written, "--force")
    found = torch.load(written, weights_only=True)
    cut(model)
    model.load_state_dict(found["model"], strict=True)
    smaller = optimize(model)
    smaller.load_state_dict(found["optimizer"])
    names = {id(parameter): key for key, parameter in model.named_parameters()}
    assert len(smaller.state) == len(names)
    for parameter, kept in smaller.state.items():
        assert_equal({k: v for k, v in state[names[id(parameter)]].items()}, dict(kept))
