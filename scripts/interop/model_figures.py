"""What `ckpt verify --dump` computes of a model, held against what PyTorch computes.

A model is run on one batch: logits by running statistics, then three steps of SGD in training mode. Compared are the
logits, the losses, the norm of every gradient and every tensor after the steps, each by ‖ours − theirs‖ / ‖theirs‖.

New convolutional models magnify rounding: after three steps PyTorch's own weights in 32 bits are off by a fifth or more from
its weights in 64 bits (ResNet-50, MobileNetV2), or jump where one rectifier's input changes its sign (ResNet-18). Those
are compared in 64 bits; in 32 bits the logits and the first loss are compared likewise, and each gradient's norm may be
off by 5e-2 from that in 64 bits (PyTorch's are by up to 1.2e-2).
"""

import copy
import os
import sys

import models as zoo  # fixtures/models.py
import torch
from harness import ckpt

LIMIT = 1e-4


class Errors(dict):
    """The largest relative error of each kind, and where it is."""

    def add(self, kind, key, found, wanted, least=0.0):
        assert found.shape == wanted.shape, f"{kind} {key}: {found.shape}, not {wanted.shape}"
        found, wanted = found.double(), wanted.double()
        error = ((found - wanted).norm() / max(wanted.norm().item(), least)).item()
        error = error if error == error else float("inf")
        if error >= self.get(kind, (0.0,))[0]:
            self[kind] = (error, key)

    def __str__(self):
        return ", ".join(f"{kind} {error:.2g} ({key})" for kind, (error, key) in self.items())


def compare(found, wanted):
    """The errors of some figures against PyTorch's."""
    errors = Errors()
    errors.add("logits", "all", found["logits"], wanted["logits"])
    errors.add("first loss", "all", found["losses"][:1], wanted["losses"][:1])
    errors.add("losses", "all", found["losses"], wanted["losses"])
    assert set(found["norms"]) == set(wanted["norms"]), set(found["norms"]) ^ set(wanted["norms"])
    # What is 0 but for rounding (a softmax does not see the biases of keys) is held against the largest.
    least = 1e-3 * max(norm.item() for norm in wanted["norms"].values())
    for key, norm in wanted["norms"].items():
        errors.add("gradients", key, found["norms"][key], norm, least)
    for key, value in wanted["after"].items():
        errors.add("weights", key, found["after"][key], value)
    return errors


def figures(folder, name, state, inputs, targets):
    """What is computed here."""
    source, dump = folder / "model.pt", folder / "figures.pt"
    torch.save({"state": state, "input": inputs, "target": targets}, source)
    ckpt("verify", source, "--model", name, "--at", "state", "--dump", dump, "--force")
    source.unlink()
    found = torch.load(dump, weights_only=True)
    dump.unlink()
    result = {"norms": {}, "after": {}}
    for key, value in found.items():
        part, _, rest = key.partition("/")
        if rest:
            result[part][rest] = value
        else:
            result[part] = value
    return result


def expect(name, errors, limits):
    if "SHOW_ERRORS" in os.environ:
        print(f"{name}: {errors}", file=sys.stderr)
    for kind, limit in limits.items():
        error, key = errors[kind]
        assert error <= limit, f"{kind}: {key} is off by {error:.3g}"


def prove(folder, name, make, batch, is_unsteady=False):
    """Holds what is computed here of a model that `--model name` gives against what PyTorch computes."""
    zoo.seed()
    torch.set_num_threads(2)
    model, (inputs, targets) = zoo.spread(make()), batch()
    state = copy.deepcopy(model.state_dict())
    wide = copy.deepcopy(model) if is_unsteady else None
    found = figures(folder, name, state, inputs, targets)
    wanted = zoo.figures(model, inputs, targets)
    errors = compare(found, wanted)
    kinds = ("logits", "first loss", "gradients", "losses", "weights")
    if wide is None:
        expect(name, errors, dict.fromkeys(kinds, LIMIT))
        return
    exact = zoo.figures(wide, inputs, targets, double=True)
    expect(f"{name}, PyTorch in 32 bits from 64", compare(wanted, exact), {})
    expect(name, compare(found, exact), {"logits": LIMIT, "first loss": LIMIT, "gradients": 5e-2})
    found = figures(folder, name, state, inputs.double(), targets)
    expect(f"{name}, 64 bits", compare(found, exact), dict.fromkeys(kinds, LIMIT))
