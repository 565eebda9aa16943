"""Trainings that change hands between the library and a real PyTorch: `Examples/FineTuning` is the other side.

In a ResNet-18 a rounding that takes one rectifier to its other side moves the weights by 1e-4 of their size, in PyTorch
as here; so those are compared in 64 bits, too, where nothing hides.
"""

import copy
import functools
import pathlib
import subprocess

import harness
import models as zoo  # fixtures/models.py
import pytest
import torch
import torchvision
from torch import nn
from torch.nn import functional as F

LIMIT = 1e-4
S = torch.optim.lr_scheduler


def example(*arguments):
    program = pathlib.Path(harness.CKPT).parent / "CkptFineTuningExample"
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, f"{arguments}: status {done.returncode}: {done.stderr[:500]}"


def distance(found, wanted):
    """‖found − wanted‖ / ‖wanted‖."""
    found, wanted = (torch.as_tensor(x, dtype=torch.float64) for x in (found, wanted))
    assert found.shape == wanted.shape, f"{found.shape}, not {wanted.shape}"
    return ((found - wanted).norm() / wanted.norm().clamp(min=1e-12)).item()


def assert_close(found, wanted, what, limit=LIMIT):
    assert distance(found, wanted) <= limit, f"{what}: off by {distance(found, wanted):.3g}"


def same_state(ours, theirs, path=""):
    """The same structure, types and values; numbers and tensors to `LIMIT`."""
    if isinstance(theirs, torch.Tensor):
        assert ours.dtype == theirs.dtype, f"{path}: {ours.dtype}, not {theirs.dtype}"
        assert_close(ours, theirs, path)
    elif isinstance(theirs, dict):
        assert type(ours) is type(theirs) and set(ours) == set(theirs), f"{path}: {list(ours)}, not {list(theirs)}"
        for key in theirs:
            # Of a sequence, a scheduler that is not at work keeps a rate that nobody reads.
            if not ("_schedulers" in path and key == "_last_lr"):
                same_state(ours[key], theirs[key], f"{path}/{key}")
    elif isinstance(theirs, (list, tuple)):
        assert type(ours) is type(theirs) and len(ours) == len(theirs), path
        for number, pair in enumerate(zip(ours, theirs)):
            same_state(*pair, f"{path}/{number}")
    elif isinstance(theirs, (int, float)) and not isinstance(theirs, bool):
        assert abs(ours - theirs) <= 1e-9 * max(abs(theirs), 1e-9), f"{path}: {ours}, not {theirs}"
    else:
        assert ours == theirs, f"{path}: {ours}, not {theirs}"


# The whole fine-tuning, on a real ResNet-18.


def widened(batches):
    return [(batch.double(), target) for batch, target in batches]


def save_batches(batches, path):
    torch.save(
        {f"{i}.{part}": value for i, pair in enumerate(batches) for part, value in zip(("input", "target"), pair)},
        path)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["32 bits", "64 bits"])
def test_fine_tuning_from_moco(folder, dtype):
    """W7 to W12: MoCo's backbone, a new head, the head alone, everything at two rates."""
    zoo.seed(7)
    torch.set_num_threads(2)
    # A trained backbone, as far as a few steps go; its blocks begin as identities, which keeps rounding small.
    backbone = zoo.spread(torchvision.models.resnet18(zero_init_residual=True))
    zoo.train(backbone, [zoo.images(16, 64, 1000) for _ in range(2)], steps=10, rate=1e-3)
    moco, data, start, end = (folder / name for name in ("moco.pth", "data.pt", "start.pt", "end.pt"))
    torch.save(zoo.moco(backbone), moco)
    if dtype == torch.float64:
        batches = widened(zoo.images(4, 64, 7) for _ in range(3))
    else:
        batches = [zoo.images(16, 64, 7) for _ in range(3)]
    save_batches(batches, data)
    example("from-moco", moco, data, start, end, "--rate", 0.01)

    model = torchvision.models.resnet18(num_classes=7).to(dtype)
    begun = torch.load(start, weights_only=True)
    model.load_state_dict(begun)
    for key, value in backbone.state_dict().items():
        assert key.startswith("fc.") or torch.equal(begun[key], value.to(begun[key].dtype)), key
    # A head as nn.Linear begins: evenly between ±1 / √512.
    bound = 512**-0.5
    weight, bias = begun["fc.weight"], begun["fc.bias"]
    assert 0.99 * bound < weight.abs().max() <= bound and bias.abs().max() <= bound
    assert abs(weight.mean()) < 0.05 * bound and abs(weight.std() / (bound / 3**0.5) - 1) < 0.05

    wanted = zoo.fine_tune(model, batches, rate=0.01)
    found = torch.load(end, weights_only=True)
    assert found["trainable"] == [["fc.weight", "fc.bias"], [key for key, _ in model.named_parameters()]]
    assert [len(rates) for rates in found["rates"]] == [1, 1, 1, 2, 2, 2]
    for ours, theirs in zip(found["rates"], wanted["rates"]):
        assert distance(ours, theirs) <= 1e-12, (ours, theirs)
    for ours, theirs in zip(found["losses"], wanted["losses"]):
        assert_close(ours, theirs, "an epoch's loss")
    for key, value in wanted["after"].items():
        assert_close(found["model"][key], value, key, 1e-2 if dtype == torch.float32 else 1e-6)


# States in both directions.

OPTIMIZERS = {
    "sgd": lambda groups: torch.optim.SGD(groups, lr=0.05, momentum=0.9, dampening=0.1, weight_decay=0.001),
    "adam": lambda groups: torch.optim.Adam(groups, lr=0.01, betas=(0.8, 0.99), weight_decay=0.01),
    "adamw": lambda groups: torch.optim.AdamW(groups, lr=0.01, eps=1e-6, weight_decay=0.1, amsgrad=True),
}
SCHEDULERS = {
    "step": lambda o: S.StepLR(o, step_size=2, gamma=0.5),
    "multi-step": lambda o: S.MultiStepLR(o, milestones=[2, 4, 4], gamma=0.5),
    "exponential": lambda o: S.ExponentialLR(o, gamma=0.8),
    "cosine": lambda o: S.CosineAnnealingLR(o, T_max=4, eta_min=0.001),
    "linear": lambda o: S.LinearLR(o, start_factor=0.25, end_factor=0.9, total_iters=5),
    "constant": lambda o: S.ConstantLR(o, factor=0.25, total_iters=4),
    "warm-up": lambda o: S.SequentialLR(
        o, [S.LinearLR(o, start_factor=0.1, total_iters=2), S.CosineAnnealingLR(o, T_max=5)], milestones=[2]),
    "one-cycle": lambda o: S.OneCycleLR(o, [0.05, 0.1], total_steps=7, base_momentum=0.7),
}


class Training:
    """A model, an optimizer of two groups and a scheduler."""

    def __init__(self, make, head, optimizer, scheduler):
        self.model = make()
        named = list(self.model.named_parameters())
        backbone = [p for key, p in named if not key.startswith(head)]
        groups = [
            {"params": backbone},
            {"params": [p for key, p in named if key.startswith(head)], "weight_decay": 0.002, "lr": 0.02}]
        self.optimizer = OPTIMIZERS[optimizer](groups)
        self.scheduler = SCHEDULERS[scheduler](self.optimizer)
        self.step = 0

    def run(self, batches, steps=3):
        losses, rates = [], []
        self.model.train()
        for _ in range(steps):
            batch, target = batches[self.step % len(batches)]
            rates.append([group["lr"] for group in self.optimizer.param_groups])
            self.optimizer.zero_grad()
            loss = F.cross_entropy(self.model(batch), target)
            loss.backward()
            self.optimizer.step()
            self.scheduler.step()
            losses.append(loss.item())
            self.step += 1
        return losses, rates

    def state(self):
        return copy.deepcopy({
            "model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(), "step": self.step})

    def take_up(self, state):
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scheduler.load_state_dict(state["scheduler"])
        self.step = state["step"]


def mlp():
    return nn.Sequential(nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, 5))


def exchange(folder, make, head, spec, batches, optimizer, scheduler):
    begin, half, end, other = (folder / f"{part}.pt" for part in ("begin", "half", "end", "other"))
    data = folder / "batches.pt"
    save_batches(batches, data)
    options = ["--model", spec, "--optimizer", optimizer, "--scheduler", scheduler]
    zoo.seed(9)
    torch.set_num_threads(2)
    theirs = Training(make, head, optimizer, scheduler)
    torch.save(theirs.state(), begin)

    # All here, beside all in PyTorch.
    example("continue", begin, data, half, *options)
    example("continue", half, data, end, *options)
    losses, rates = theirs.run(batches)
    halfway = theirs.state()
    first = torch.load(half, weights_only=True)
    assert_close(first["losses"], losses, "the losses of the first half")
    assert_close(first["rates"], rates, "the rates of the first half")
    same_state({k: first[k] for k in halfway}, {**halfway, "model": dict(halfway["model"])})
    wanted_losses, wanted_rates = theirs.run(batches)
    second = torch.load(end, weights_only=True)
    assert_close(second["losses"], wanted_losses, "the losses of the second half")
    assert_close(second["rates"], wanted_rates, "the rates of the second half")

    # Begun here, ended in PyTorch.
    resumed = Training(make, head, optimizer, scheduler)
    resumed.take_up(torch.load(half, weights_only=True))
    losses, rates = resumed.run(batches)
    assert_close(losses, second["losses"], "the losses in PyTorch after a beginning here")
    assert_close(rates, second["rates"], "the rates in PyTorch after a beginning here")

    # Begun in PyTorch, ended here.
    torch.save(halfway, half)
    example("continue", half, data, other, *options)
    crossed = torch.load(other, weights_only=True)
    assert_close(crossed["losses"], wanted_losses, "the losses here after a beginning in PyTorch")
    assert_close(crossed["rates"], wanted_rates, "the rates here after a beginning in PyTorch")
    for key, value in theirs.model.state_dict().items():
        assert_close(crossed["model"][key], value, key)


@functools.cache
def rows():
    zoo.seed(8)
    return [(torch.randn(8, 12), torch.randint(5, (8,))) for _ in range(4)]


@pytest.mark.parametrize(
    "optimizer, scheduler",
    [("sgd", scheduler) for scheduler in SCHEDULERS]
    + [("adam", "exponential"), ("adamw", "multi-step"), ("adamw", "cosine"), ("adamw", "warm-up"),
       ("adamw", "one-cycle")])
def test_hands(folder, optimizer, scheduler):
    exchange(folder, mlp, "2.", "mlp", rows(), optimizer, scheduler)


@pytest.mark.parametrize("optimizer, scheduler", [("sgd", "multi-step"), ("adamw", "step")])
def test_hands_of_resnet18(folder, optimizer, scheduler):
    zoo.seed(8)
    pictures = widened(zoo.images(4, 32, 7) for _ in range(4))
    make = lambda: torchvision.models.resnet18(num_classes=7).double()
    exchange(folder, make, "fc.", "resnet18", pictures, optimizer, scheduler)
