"""Pictures: what Pillow and torchvision make of them, on real files."""

import hashlib
import json
import pathlib
import struct
import subprocess
import warnings

import harness
import numpy
import pytest
import sklearn.datasets
import torch
from PIL import Image
from torchvision import transforms
from torchvision.datasets import ImageFolder
from torchvision.transforms import functional as F

STAMPS = pathlib.Path("/usr/share/tuxpaint/stamps")
PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
SKLEARN = pathlib.Path(sklearn.datasets.__file__).parent / "images"


def program():
    return str(pathlib.Path(harness.CKPT).parent / "CkptImageCheck")


def run(*arguments, given=None):
    done = subprocess.run([program(), *map(str, arguments)], input=given, capture_output=True, text=True)
    assert done.returncode == 0, f"{arguments}: status {done.returncode}: {done.stderr[:500]}"
    return [json.loads(line) for line in done.stdout.splitlines()]


def digest(image):
    return hashlib.sha256(image.tobytes()).hexdigest()


def pictures(folder):
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in PICTURES)


def folders():
    found = [SKLEARN]
    return found + (sorted(path for path in STAMPS.iterdir() if path.is_dir()) if STAMPS.is_dir() else [])


evaluated = transforms.Compose([transforms.Resize(256), transforms.CenterCrop(224)])


@pytest.mark.parametrize("folder", folders(), ids=lambda path: path.name)
def test_every_picture(folder):
    """Decoded, and resized and cut, byte for byte."""
    paths = pictures(folder)
    assert paths, f"no picture in {folder}"
    for path, found in zip(paths, run("hash", "-", given="".join(f"{path}\n" for path in paths)), strict=True):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(path).convert("RGB")
        assert found.get("rgb") == digest(image), (path, found.get("error"))
        # A stamp of a few pixels in one direction would become very long.
        if max(image.size) <= 20 * min(image.size):
            assert found["resized"] == digest(evaluated(image)), path


@pytest.mark.skipif(not STAMPS.is_dir(), reason="tuxpaint-stamps-default is not installed")
@pytest.mark.parametrize("epoch", [0, 1])
def test_epoch(epoch):
    """torchvision makes the same batches of the plan that the program wrote down."""
    root = STAMPS / "food"
    (found,) = run("epoch", root, 7, epoch)
    folder = ImageFolder(root)
    assert found["classes"] == folder.classes
    assert found["files"] == [path for path, _ in folder.samples]
    order, decisions = found["plan"]["order"], found["plan"]["decisions"]
    assert sorted(order) == list(range(len(folder)))
    finish = transforms.Compose(
        [transforms.ToTensor(), transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))]
    )
    for number, hashed in enumerate(found["batches"]):
        part = range(number * 8, min(len(order), number * 8 + 8))
        assert found["labels"][number] == [folder.targets[order[i]] for i in part]
        samples = []
        for i in part:
            image, _ = folder[order[i]]
            box = decisions[i]["crop"]
            image = F.resized_crop(image, box["top"], box["left"], box["height"], box["width"], (224, 224))
            samples.append(finish(F.hflip(image) if decisions[i]["isFlipped"] else image))
        values = torch.stack(samples).numpy().astype("<f4")
        assert hashlib.sha256(values.tobytes()).hexdigest() == hashed, f"batch {number}"
    flips = [decision["isFlipped"] for decision in decisions]
    assert 0 < sum(flips) < len(flips)


def lying():
    """Files whose headers promise 13,000 x 13,000 pixels that they do not hold."""
    source = harness.FIXTURES / "images"
    sides = struct.pack(">II", 13_000, 13_000)
    png = (source / "png_rgb.png").read_bytes()
    yield "lying.png", png[:16] + sides + png[24:]
    for name in ("jpeg_444", "jpeg_444_progressive", "jpeg_gray"):
        data = (source / f"{name}.jpg").read_bytes()
        at = max(data.find(b"\xff\xc0\0"), data.find(b"\xff\xc2\0")) + 5
        yield f"{name}.jpg", data[:at] + struct.pack(">HH", 13_000, 13_000) + data[at + 4 :]
    data = (source / "webp_lossy.webp").read_bytes()
    yield "lying.webp", data[:26] + struct.pack("<HH", 13_000, 13_000) + data[30:]
    data = (source / "bmp_rgb.bmp").read_bytes()
    yield "lying.bmp", data[:18] + struct.pack("<ii", 13_000, 13_000) + data[26:]
    for kind in (b"P3", b"P4", b"P5", b"P6"):
        yield f"{kind.decode()}.ppm", kind + b" 13000 13000 255\n1 2 3"


@pytest.mark.parametrize(("name", "data"), lying(), ids=lambda x: x if isinstance(x, str) else "")
def test_lying_headers_take_little_memory(folder, launch, monkeypatch, name, data):
    path = folder / name
    path.write_bytes(data)
    (found,) = run("hash", path)
    assert found["error"].endswith(f"({path})")
    monkeypatch.setattr(harness, "CKPT", program())
    status, memory, _ = launch("hash", path)
    assert status == 0
    assert memory < 100_000, f"{memory} kB"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "BMP"])
def test_random_pictures(folder, kind):
    """Pictures of random sides, saved by Pillow with random options."""
    rng = numpy.random.default_rng(list(kind.encode()))
    paths = []
    for number in range(40):
        height, width = rng.integers(1, 130, 2)
        low = rng.integers(0, 256, (height // 9 + 1, width // 9 + 1, 3), dtype=numpy.uint8)
        image = Image.fromarray(low).resize((width, height), Image.Resampling.BICUBIC)
        options = {}
        if kind == "JPEG":
            options = {"quality": int(rng.integers(1, 101)), "subsampling": int(rng.integers(3))}
            options["progressive"] = bool(rng.integers(2))
        if kind == "WEBP":
            options = {"quality": int(rng.integers(0, 101)), "lossless": bool(rng.integers(2))}
        if kind == "TIFF":
            options = {"compression": ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"][rng.integers(4)]}
        if kind == "PNG":
            image = image.convert(["1", "L", "LA", "P", "RGB", "RGBA"][rng.integers(6)])
        paths.append(folder / f"{number}.{kind.lower()}")
        image.save(paths[-1], kind, **options)
    for path, found in zip(paths, run("hash", *paths), strict=True):
        assert found.get("rgb") == digest(Image.open(path).convert("RGB")), (path, found.get("error"))
