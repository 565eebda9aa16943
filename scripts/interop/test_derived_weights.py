"""Weights that are computed from several keys: `ckpt fold` beside PyTorch's own removal, `check`'s advice, and what is refused.

Masks must be equal bit for bit. The others hold sums, whose order differs from machine to machine in PyTorch itself: they must be
within `ULPS` representable numbers, and sums of a few hundred float64 within 64.
"""

import re
import shlex
import warnings

import pytest
import torch
from bits import distance
from harness import ckpt
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune, remove_spectral_norm, remove_weight_norm
from torch.nn.utils import spectral_norm, weight_norm

ULPS = {torch.float32: 8, torch.bfloat16: 1, torch.float16: 3, torch.float64: 64}

LAYERS = {
    "linear": (lambda: nn.Linear(37, 29), lambda: torch.randn(2, 37)),
    "square linear": (lambda: nn.Linear(16, 16), lambda: torch.randn(2, 16)),
    "one row": (lambda: nn.Linear(9, 1), lambda: torch.randn(2, 9)),
    "one column": (lambda: nn.Linear(1, 5, bias=False), lambda: torch.randn(2, 1)),
    "conv1d": (lambda: nn.Conv1d(5, 7, 3), lambda: torch.randn(2, 5, 8)),
    "conv2d": (lambda: nn.Conv2d(8, 8, 3, groups=2), lambda: torch.randn(2, 8, 6, 6)),
    "conv3d": (lambda: nn.Conv3d(2, 3, (1, 2, 3)), lambda: torch.randn(2, 2, 4, 4, 4)),
    "square transposed": (lambda: nn.ConvTranspose1d(8, 8, 3), lambda: torch.randn(2, 8, 8)),
    "transposed": (lambda: nn.ConvTranspose2d(4, 6, 3), lambda: torch.randn(2, 4, 6, 6)),
    "embedding": (lambda: nn.Embedding(50, 12), lambda: torch.randint(0, 50, (4,))),
}


def remove(module):
    parametrize.remove_parametrizations(module, "weight")


KINDS = {
    "pruned": (lambda m: prune.random_unstructured(m, "weight", 0.5), lambda m: prune.remove(m, "weight")),
    "pruned twice": (
        lambda m: prune.ln_structured(prune.l1_unstructured(m, "weight", 0.3), "weight", 0.4, 2, 0),
        lambda m: prune.remove(m, "weight"),
    ),
    "spectral norm": (spectral_norm, remove_spectral_norm),
    "spectral norm, dim 1": (lambda m: spectral_norm(m, dim=1), remove_spectral_norm),
    "parametrized spectral norm": (parametrizations.spectral_norm, remove),
    "weight norm, then spectral norm": (
        lambda m: parametrizations.spectral_norm(parametrizations.weight_norm(m)),
        remove,
    ),
    "pruned weight norm": (
        lambda m: prune.random_unstructured(weight_norm(m), "weight_v", 0.5),
        lambda m: (prune.remove(m, "weight_v"), remove_weight_norm(m)),
    ),
}
for dim in (0, 1, -1, None):
    KINDS[f"weight norm, dim {dim}"] = (lambda m, dim=dim: weight_norm(m, "weight", dim), remove_weight_norm)
    KINDS[f"parametrized weight norm, dim {dim}"] = (
        lambda m, dim=dim: parametrizations.weight_norm(m, "weight", dim),
        remove,
    )


def trained(layer, add):
    """A net with such a layer after three steps, so that weights and vectors are a step apart."""
    make, inputs = LAYERS[layer]
    net = nn.ModuleDict({"body": make(), "head": nn.Linear(3, 2)})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        add(net["body"])
    optimizer = torch.optim.SGD(net.parameters(), 0.05)
    for _ in range(3):
        optimizer.zero_grad()
        net["body"](inputs()).pow(2).mean().backward()
        optimizer.step()
    return net.eval()


def same(found, wanted, ulps):
    assert list(found) == list(wanted), f"{list(found)} is not {list(wanted)}"
    for key, value in wanted.items():
        assert found[key].shape == value.shape and found[key].dtype == value.dtype, key
        far = distance(found[key], value)
        assert far <= (ulps[value.dtype] if ulps else 0), f"{key}: {far} representable numbers off"


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("kind", KINDS)
def test_fold(folder, kind, layer):
    add, take_off = KINDS[kind]
    torch.manual_seed(len(kind) * len(layer))
    net = trained(layer, add)
    source, out, plain = folder / "parts.pt", folder / "plain.pt", folder / "plain.safetensors"
    for dtype in ULPS:
        net.to(torch.float32)
        net.to(dtype)
        torch.save({"net": net.state_dict(), "epoch": 3}, source)
        report = ckpt("fold", source, "-o", out, "--force", "--json")
        assert [w["key"] for w in report["folded"]] == ["body.weight"], report
        found = torch.load(out, weights_only=True)
        parts = {k: v.clone() for k, v in net.state_dict().items()}
        copy = trained(layer, add).to(dtype)
        copy.load_state_dict(parts)
        take_off(copy["body"])
        wanted = copy.state_dict()
        ulps = None if kind in ("pruned", "pruned twice") else ULPS
        same(found["net"], wanted, ulps)
        assert list(found["net"]._metadata) == list(wanted._metadata)
        assert found["epoch"] == 3
        fresh = nn.ModuleDict({"body": LAYERS[layer][0](), "head": nn.Linear(3, 2)}).to(dtype)
        fresh.load_state_dict(found["net"], strict=True)
    # Without `_metadata`, too.
    parts_only = folder / "parts.safetensors"
    save_file({k: v.contiguous() for k, v in net.state_dict().items()}, parts_only)
    ckpt("fold", parts_only, "-o", plain, "--force")
    wanted = copy.state_dict()
    found = load_file(plain)
    same({k: found[k] for k in wanted}, wanted, None if "pruned" == kind else ULPS)


@pytest.mark.parametrize("kind", KINDS)
def test_advice(folder, kind):
    """What `check` advises is done, and then it loads."""
    add, _ = KINDS[kind]
    source, fresh = folder / "parts.pt", folder / "fresh.pt"
    net = trained("conv1d", add)
    torch.save({"module." + k: v for k, v in net.state_dict().items()}, source)
    torch.save(nn.ModuleDict({"body": LAYERS["conv1d"][0](), "head": nn.Linear(3, 2)}).state_dict(), fresh)
    text = ckpt("check", source, "--against", fresh, status=1, output=True)
    commands = re.findall(r"^  (ckpt .*)$", text, re.M)
    assert len(commands) == 2 and commands[0].startswith("ckpt fold "), text
    for command in commands:
        words = [str(folder / w) if w.endswith("ed.pt") else w for w in shlex.split(command)[1:]]
        ckpt(*words, "--force")
    ckpt("check", folder / "renamed.pt", "--against", fresh)
    # The same parts in the model need no advice; its other keys do.
    torch.save(net.state_dict(), fresh)
    text = ckpt("check", source, "--against", fresh, status=1, output=True)
    assert "fold" not in text and "--strip-prefix module." in text, text


class Symmetric(nn.Module):
    def forward(self, x):
        return x.triu() + x.triu(1).mT

REFUSED = {
    "orthogonal": lambda m: parametrizations.orthogonal(m),
    "orthogonal without a base": lambda m: parametrizations.orthogonal(m, use_trivialization=False),
    "a class of one's own": lambda m: parametrize.register_parametrization(m, "weight", Symmetric()),
    "one behind spectral norm": lambda m: parametrize.register_parametrization(
        parametrizations.spectral_norm(m), "weight", Symmetric()
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusal(folder, name):
    """What a file does not tell enough about is named, and nothing is written."""
    source, out = folder / "parts.pt", folder / f"{name}.pt"
    net = nn.ModuleDict({"body": nn.Linear(6, 6), "other": weight_norm(nn.Linear(3, 4))})
    REFUSED[name](net["body"])
    torch.save(net.state_dict(), source)
    message = ckpt("fold", source, "-o", out, status=65)
    assert "body.weight" in message and not out.exists(), message
    ckpt("fold", source, "--exclude", "is:body.weight", "-o", out)
    found = torch.load(out, weights_only=True)
    assert "other.weight" in found and "body.parametrizations.weight.original" in found, list(found)


def test_float8_with_scales(folder):
    """Codes as the libraries' own packers write them are no weights."""
    torch.manual_seed(0)
    for name in "ab":
        weight = torch.randn(32, 48)
        scale = weight.abs().amax(1, keepdim=True) / 448
        save_file(
            {"q.weight": (weight / scale).to(torch.float8_e4m3fn), "q.weight_scale": scale, "n.weight": torch.ones(4)},
            folder / f"{name}.safetensors",
        )
    a, b, out = folder / "a.safetensors", folder / "b.safetensors", folder / "out.safetensors"
    for words in (
        ["merge", a, b, "--method", "linear", "--weights", "0.5,0.5"],
        ["convert", a, "--to-dtype", "bfloat16"],
        ["convert", a, "--to-dtype", "bfloat16", "--exclude", "q.weight_scale"],
        ["merge", a, b, "--include", "is:q.weight"],
    ):
        message = ckpt(*words, "-o", out, status=65)
        assert "q.weight" in message and not out.exists(), message
    ckpt("convert", a, "--to-dtype", "bfloat16", "--cast-exclude", "under:q", "-o", out)
    found, source = load_file(out), load_file(a)
    assert found["n.weight"].dtype == torch.bfloat16
    for key in ("q.weight", "q.weight_scale"):
        assert torch.equal(found[key].float(), source[key].float()) and found[key].dtype == source[key].dtype, key


def test_float8_without_scales_is_a_dtype(folder):
    for name, value in (("a", 1.0), ("b", 2.0)):
        save_file({"q.weight": torch.full((4, 4), value).to(torch.float8_e5m2)}, folder / f"{name}.safetensors")
    a, b, out = folder / "a.safetensors", folder / "b.safetensors", folder / "plain.safetensors"
    ckpt("merge", a, b, "--method", "linear", "--weights", "0.5,0.5", "-o", out)
    assert torch.equal(load_file(out)["q.weight"].float(), torch.full((4, 4), 1.5))
