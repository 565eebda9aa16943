"""Models that `Examples/models/*.yml` describe, in their true sizes: keys and shapes as `load_state_dict` sees
them, and what the described model computes beside the real one."""

import json

import pytest
import timm
import torch
import torchvision
import transformers

import described as tiny  # fixtures/described.py
import models
from harness import ROOT, ckpt
from model_figures import prove


def albert():
    return transformers.AlbertForSequenceClassification(tiny.albert_config(
        vocab_size=30000, embedding_size=128, hidden_size=768, num_hidden_layers=12, num_attention_heads=12,
        intermediate_size=3072, num_labels=2))


# Name: the model, a batch.
MODELS = {
    "densenet121": (lambda: torchvision.models.densenet121(), lambda: models.images(8, 64, 1000)),
    "mlp_mixer": (
        lambda: tiny.with_head(timm.create_model("mixer_b16_224")), lambda: models.images(1, 224, 1000)),
    "albert": (albert, lambda: models.tokens(2, 16, 30000, 2)),
    "convnext": (
        lambda: tiny.scaled(torchvision.models.convnext_tiny(stochastic_depth_prob=0.0)),
        lambda: models.images(2, 64, 1000)),
}


# In which rounding grows within three steps; see model_figures.py. Of DenseNet's 364 gradients the worst is compared,
# and which one that is depends on the rectifiers whose inputs rounding carries across zero.
UNSTEADY = ("densenet121",)


def example(name):
    return ROOT / "Examples" / "models" / f"{name}.yml"


@pytest.mark.parametrize("name", MODELS)
def test_figures(folder, name):
    make, batch = MODELS[name]
    prove(folder, str(example(name)), make, batch, name in UNSTEADY)


@pytest.mark.parametrize("name", MODELS)
def test_keys(folder, name):
    """`check --model` says what `load_state_dict` says, of the model itself and of one that is damaged."""
    model = MODELS[name][0]()
    description = example(name)
    state = model.state_dict()
    last = list(state)[-2]
    for kind in ("whole", "damaged", "prefixed"):
        if kind == "damaged":
            state = dict(state)
            state["extra.weight"] = state.pop(list(state)[5])
            state[last] = state[last].new_zeros(3, 5)
        if kind == "prefixed":
            state = {f"module.{k}": v for k, v in model.state_dict().items()}
        file = folder / f"{name}_{kind}.pt"
        torch.save(state, file)
        options = ":classes=" + str(model.state_dict()[last].shape[0]) if kind == "damaged" else ""
        arguments = ("check", file, "--model", f"{description}{options}", "--json")
        said = ckpt(*arguments) if kind == "whole" else json.loads(ckpt(*arguments, status=1, output=True))
        # load_state_dict raises at other shapes, whatever is asked, so that key is told apart.
        plain = {k: v for k, v in state.items() if kind != "damaged" or k != last}
        expected = model.load_state_dict(plain, strict=False)
        missing = [k for k in expected.missing_keys if kind != "damaged" or k != last]
        assert said["missing"] == missing, (kind, said["missing"][:3], missing[:3])
        assert said["unexpected"] == expected.unexpected_keys, kind
        assert [m["key"] for m in said["mismatched"]] == ([last] if kind == "damaged" else []), kind
        if kind == "prefixed":
            assert said["suggestion"]["loadable"], said["suggestion"]
