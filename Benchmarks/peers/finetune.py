"""Fine-tuning as torchvision's users write it, its DataLoader with 2 workers.

    finetune.py make FOLDER TRAIN VAL CLASSES       pictures of 500×375 as JPEG files, in train/ and val/
    finetune.py weights FILE                        a ResNet-18 as torchvision makes it
    finetune.py decode FOLDER EPOCHS                training samples, and nothing done with them
    finetune.py all|head FOLDER WEIGHTS RUN EPOCHS  a ResNet-18 that learns; head: only its classifier, fixed transforms

The last line tells how long the work took without the start of Python and the imports.
"""

import os
import sys
import time

work, path, *rest = sys.argv[1:]


def make(folder, train, val, classes):
    """Noise of all scales with amplitudes of 1/frequency, as photographs have them, in a class's own colors."""
    import numpy
    from PIL import Image

    random = numpy.random.default_rng(0)
    for part, count in (("train", train), ("val", val)):
        for index in range(count):
            kind = index % classes
            pixels = 128 + 40 * numpy.cos(kind + numpy.arange(3.0)) + numpy.zeros((375, 500, 3))
            for size in (2, 4, 8, 16, 32, 64, 128, 256):
                noise = random.normal(0, 1, (size * 3 // 4 + 1, size, 3)) * 0.4 + random.normal(
                    0, 1, (size * 3 // 4 + 1, size, 1)
                )
                for channel in range(3):
                    plane = Image.fromarray(noise[:, :, channel].astype("f4"))
                    pixels[:, :, channel] += 60 / size**0.4 * numpy.asarray(plane.resize((500, 375), Image.BICUBIC))
            place = os.path.join(folder, part, f"class{kind}")
            os.makedirs(place, exist_ok=True)
            image = Image.fromarray(pixels.clip(0, 255).astype("u1"))
            image.save(os.path.join(place, f"{index:04}.jpg"), quality=90)


if work == "make":
    make(path, *map(int, rest))
    sys.exit()

# Libraries look for a module called "pytorch", and must not find the other peer.
sys.path.pop(0)

import torch
import torchvision

if work == "weights":
    torch.manual_seed(0)
    torch.save(torchvision.models.resnet18().state_dict(), path)
    sys.exit()

start = time.perf_counter()
torch.manual_seed(0)
transforms = torchvision.transforms
last = [transforms.ToTensor(), transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))]
augmented = transforms.Compose([transforms.RandomResizedCrop(224), transforms.RandomHorizontalFlip(), *last])
fixed = transforms.Compose([transforms.Resize(256), transforms.CenterCrop(224), *last])


def loader(part, transform, shuffle):
    folder = torchvision.datasets.ImageFolder(os.path.join(path, part), transform)
    return torch.utils.data.DataLoader(folder, 32, shuffle=shuffle, num_workers=2, persistent_workers=True)


def train(weights, run, epochs):
    train, val = loader("train", fixed if work == "head" else augmented, True), loader("val", fixed, False)
    model = torchvision.models.resnet18()
    model.load_state_dict(torch.load(weights, weights_only=True))
    if work == "head":
        model.requires_grad_(False)
    model.fc = torch.nn.Linear(512, len(train.dataset.classes))
    learning = [value for value in model.parameters() if value.requires_grad]
    optimizer = torch.optim.SGD(learning, lr=0.001, momentum=0.9, weight_decay=0.001)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    os.makedirs(run, exist_ok=True)
    best = -1
    for epoch in range(epochs):
        model.train(work != "head")
        for images, labels in train:
            optimizer.zero_grad()
            # With a frozen backbone, nothing requires a gradient up to the classifier, and nothing is kept for one.
            torch.nn.functional.cross_entropy(model(images), labels).backward()
            optimizer.step()
        schedule.step()
        model.eval()
        correct = 0
        with torch.no_grad():
            for images, labels in val:
                correct += (model(images).argmax(1) == labels).sum().item()
        state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": epoch}
        torch.save(state, os.path.join(run, "last.pt"))
        if correct > best:
            best = correct
            torch.save(state, os.path.join(run, "best.pt"))


if work == "decode":
    samples = loader("train", augmented, True)
    for _ in range(int(rest[0])):
        for images, labels in samples:
            pass
else:
    train(rest[0], rest[1], int(rest[2]))
print("seconds", time.perf_counter() - start)
