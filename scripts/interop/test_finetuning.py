"""Fine-tuning: the same images, order, crops and weights in PyTorch and here give the same figures."""

import csv
import json
import pathlib
import shutil
import subprocess

import harness
import numpy
import pytest
import torch
import torchvision
from PIL import Image
from torch import nn
from torchvision import transforms
from torchvision.datasets import ImageFolder
from torchvision.transforms import functional as F

STAMPS = pathlib.Path("/usr/share/tuxpaint/stamps")
CLASSES = {
    "birds": "animals/birds", "flowers": "plants/flowers", "fruit": "food/fruit", "roadsigns": "town/roadsigns",
    "vegetables": "food/vegetables",
}  # fmt: skip
pytestmark = pytest.mark.skipif(not STAMPS.is_dir(), reason="tuxpaint-stamps-default is not installed")

finish = transforms.Compose(
    [transforms.ToTensor(), transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))]
)
evaluated = transforms.Compose([transforms.Resize(256), transforms.CenterCrop(224), finish])


@pytest.fixture(scope="module")
def images(shared_folder):
    """Stamps of five classes: train/ and val/, every third one for evaluation."""
    root = shared_folder / "stamps"
    for name, place in CLASSES.items():
        found = sorted(path for path in (STAMPS / place).iterdir() if path.suffix == ".png")
        for number, path in enumerate(found[:21]):
            folder = root / ("val" if number % 3 == 2 else "train") / name
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, folder)
    return root


def model_of(name, classes):
    make = {"resnet18": torchvision.models.resnet18, "mobilenet_v2": torchvision.models.mobilenet_v2}[name]
    model = make(weights=None, num_classes=classes)
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return model


@pytest.fixture(scope="module")
def weights(shared_folder, images):
    """Weights that were trained for some epochs on small crops: from a new model on, roundings alone drive two trainings
    apart, PyTorch's in 32 and in 64 bits, too."""

    def make(name):
        path = shared_folder / f"{name}.pth"
        if not path.exists():
            torch.manual_seed(1)
            crop = transforms.Compose([transforms.RandomResizedCrop(96), transforms.RandomHorizontalFlip(), finish])
            data = ImageFolder(images / "train", transform=crop)
            loader = torch.utils.data.DataLoader(data, batch_size=17, shuffle=True)
            model = model_of(name, len(CLASSES)).train()
            optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
            for _ in range(12):
                for inputs, labels in loader:
                    optimizer.zero_grad()
                    nn.functional.cross_entropy(model(inputs), labels).backward()
                    optimizer.step()
            torch.save(model.state_dict(), path)
        return path

    return make


def plan(root, seed, epoch):
    """The order and the crops of an epoch, as this library decides them."""
    program = pathlib.Path(harness.CKPT).parent / "CkptImageCheck"
    done = subprocess.run(
        [program, "epoch", root, str(seed), str(epoch)], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)["plan"]


def batches(root, seed, epoch, size, augmented):
    """The training batches of an epoch, made by torchvision."""
    folder = ImageFolder(root)
    made = plan(root, seed, epoch)
    for start in range(0, len(folder), size):
        inputs, labels = [], []
        for number in range(start, min(start + size, len(folder))):
            image, label = folder[made["order"][number]]
            if augmented:
                decision = made["decisions"][number]
                box = decision["crop"]
                image = F.resized_crop(image, box["top"], box["left"], box["height"], box["width"], (224, 224))
                inputs.append(finish(F.hflip(image) if decision["isFlipped"] else image))
            else:
                inputs.append(evaluated(image))
            labels.append(label)
        yield torch.stack(inputs), torch.tensor(labels)


@torch.no_grad()
def evaluate(model, root, size=16):
    """Logits of all validation images, and their classes."""
    model.eval()
    folder = ImageFolder(root, transform=evaluated)
    loader = torch.utils.data.DataLoader(folder, batch_size=size)
    logits = torch.cat([model(inputs) for inputs, _ in loader])
    return logits, torch.tensor(folder.targets)


def train(model, groups, root, *, epochs, size, seed, augmented, frozen):
    """The workflow's loop: SGD with a rate a group, StepLR, batch norm of a frozen backbone in evaluation mode."""
    optimizer = torch.optim.SGD(groups, lr=0.001, momentum=0.9, weight_decay=0.001)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.1)
    rows = []
    for epoch in range(epochs):
        model.train()
        if frozen:
            for module in model.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        total, count = 0.0, 0
        rates = [group["lr"] for group in optimizer.param_groups]
        for inputs, labels in batches(root / "train", seed, epoch, size, augmented):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(inputs), labels)
            loss.backward()
            optimizer.step()
            total, count = total + loss.item() * len(labels), count + len(labels)
        scheduler.step()
        logits, labels = evaluate(model, root / "val")
        rows.append(
            {
                "train_loss": total / count,
                "val_loss": nn.functional.cross_entropy(logits, labels).item(),
                "right": (logits.argmax(1) == labels).sum().item(),
                "rates": rates,
            }
        )
    return rows


def head_of(model):
    return model.fc if hasattr(model, "fc") else model.classifier


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2"])
@pytest.mark.parametrize("way", ["head", "two-rates"])
def test_same_figures(folder, images, weights, name, way):
    """Three epochs: losses within 1e-3, accuracy within an image; of the head alone, weights within 1e-4."""
    frozen = way == "head"
    common = [
        images, "--model", name, "--weights", weights(name), "--seed", "5", "--batch-size", "17",
        "--schedule", "step:1,0.1", "--lr", "0.001", *(["--train", "head", "--augment", "none"] if frozen else []),
        *(["--dropout", "0"] if name == "mobilenet_v2" else []),
    ]  # fmt: skip
    harness.ckpt("finetune", *common, "--epochs", "0", "-o", folder / "start")
    harness.ckpt("finetune", *common, "--epochs", "3", "-o", folder / "run")

    model = model_of(name, len(CLASSES))
    start = torch.load(folder / "start" / "last.pt", weights_only=True)
    model.load_state_dict(start["model"], strict=True)
    for key, value in torch.load(weights(name), weights_only=True).items():
        if not key.startswith(("fc.", "classifier.")):
            assert torch.equal(value, start["model"][key]), key
    head = list(head_of(model).parameters())
    others = [p for p in model.parameters() if all(p is not q for q in head)]
    if frozen:
        for parameter in others:
            parameter.requires_grad = False
        groups = [{"params": head, "lr": 0.01}]
    else:
        groups = [{"params": others}, {"params": head, "lr": 0.01}]
    expected = train(model, groups, images, epochs=3, size=17, seed=5, augmented=not frozen, frozen=frozen)

    with open(folder / "run" / "metrics.csv", newline="") as file:
        found = list(csv.DictReader(file))
    saved = torch.load(folder / "run" / "last.pt", weights_only=True, mmap=True)
    count = len(ImageFolder(images / "val"))
    assert [row["epoch"] for row in found] == ["1", "2", "3"]
    for row, want in zip(found, expected, strict=True):
        assert abs(float(row["train_loss"]) - want["train_loss"]) < 1e-3, (row, want)
        assert abs(float(row["val_loss"]) - want["val_loss"]) < 1e-3, (row, want)
        assert abs(float(row["top1"]) * count - want["right"]) <= 1.001, (row, want)
        assert numpy.allclose([float(row[f"lr_{i}"]) for i in range(len(groups))], want["rates"], rtol=1e-12)
    if frozen:
        for key, value in model.state_dict().items():
            assert torch.allclose(value, saved["model"][key], atol=1e-4, rtol=0), key
    # The optimizer's state has the same groups, and PyTorch loads it.
    optimizer = torch.optim.SGD(groups, lr=0.001, momentum=0.9, weight_decay=0.001)
    optimizer.load_state_dict(saved["optimizer"])
    assert [len(group["params"]) for group in optimizer.param_groups] == [len(group["params"]) for group in groups]

    # The checkpoint in torchvision gives the logits that `predict` gives.
    other = model_of(name, len(CLASSES))
    other.load_state_dict(saved["model"], strict=True)
    logits, labels = evaluate(other, images / "val")
    paths = [path for path, _ in ImageFolder(images / "val").samples]
    said = harness.ckpt("predict", folder / "run" / "last.pt", *paths, "--json")
    assert [row["image"] for row in said["predictions"]] == paths
    difference = (torch.tensor([row["logits"] for row in said["predictions"]]) - logits).abs().max().item()
    assert difference < 1e-4 * max(1, logits.abs().max().item())
    probabilities = logits.softmax(1)
    for row, wanted in zip(said["predictions"], probabilities, strict=True):
        top = row["top"][0]
        assert top["index"] == wanted.argmax().item() and top["class"] == sorted(CLASSES)[top["index"]]
        assert abs(top["probability"] - wanted.max().item()) < 1e-4
    told = harness.ckpt("evaluate", folder / "run" / "last.pt", images, "--json")
    assert told["images"] == count and told["part"] == "validation"
    assert abs(told["top1"] - (logits.argmax(1) == labels).float().mean().item()) < 1e-6
    assert abs(told["loss"] - nn.functional.cross_entropy(logits, labels).item()) < 1e-4
    for label, row in enumerate(told["classes"]):
        assert row["images"] == (labels == label).sum().item()
        assert told["confusion"][label] == [
            ((labels == label) & (logits.argmax(1) == other)).sum().item() for other in range(len(CLASSES))
        ]
