"""A run's folder: what it holds, and that nothing which ends a run early costs more than a step."""

import csv
import os
import random
import shutil
import signal
import struct
import subprocess
import time

import harness
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

SHAPES = harness.FIXTURES / "finetune" / "shapes"
MOCO = harness.FIXTURES / "finetune" / "moco.pt"
USUAL = ["--model", "resnet18", "--weights", MOCO, "--recipe", "moco", "--size", "32", "--batch-size", "4"]


def finetune(*arguments, **options):
    return harness.ckpt("finetune", *arguments, **options)


def start(*arguments):
    return subprocess.Popen(
        [harness.CKPT, "finetune", *map(str, arguments)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def saved(path):
    return torch.load(path, weights_only=True)


def assert_same(one, other, name=""):
    """Equal to the bit, but for times."""
    if isinstance(one, dict):
        assert list(one) == list(other), name
        for key in one:
            assert_same(one[key], other[key], f"{name}/{key}")
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other), name
        for number, pair in enumerate(zip(one, other)):
            assert_same(*pair, f"{name}/{number}")
    elif torch.is_tensor(one):
        assert torch.equal(one, other), name
    elif "seconds" not in name and "started_at" not in name:
        assert one == other, name


def test_the_folder(folder):
    finetune(SHAPES, *USUAL, "--epochs", "3", "--ema", "0.9", "--lr", "0.002", "-o", folder / "run")
    run = folder / "run"
    last, best = saved(run / "last.pt"), saved(run / "best.pt")
    assert torch.load(run / "last.pt", weights_only=True, mmap=True)["epoch"] == 3
    for state in (last, best):
        for key in ("model", "optimizer", "scheduler", "epoch", "classes", "preprocessing", "args", "metrics", "rng", "ema"):
            assert key in state, key
        assert state["classes"] == ["circle", "square", "triangle"]
        assert state["preprocessing"]["size"] == 32 and state["preprocessing"]["interpolation"] == "bilinear"
        assert list(state["ema"]) == list(state["model"])
    with open(run / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in rows] == [1, 2, 3]
    tops = [float(row["top1"]) for row in rows]
    assert best["epoch"] == 1 + max(range(3), key=lambda i: (tops[i], -float(rows[i]["val_loss"])))
    events = EventAccumulator(str(run))
    events.Reload()
    for tag, column in [
        ("loss/train", "train_loss"), ("loss/val", "val_loss"), ("accuracy/top1", "top1"), ("accuracy/top5", "top5"),
        ("lr/group_0", "lr_0"), ("lr/group_1", "lr_1"),
    ]:  # fmt: skip
        found = events.Scalars(tag)
        assert [event.step for event in found] == [1, 2, 3]
        for event, row in zip(found, rows, strict=True):
            assert event.value == struct.unpack("f", struct.pack("f", float(row[column])))[0], tag
    assert (run / "classes.txt").read_text().split() == last["classes"]
    # What was evaluated while training is what `evaluate` says of the best weights.
    told = harness.ckpt("evaluate", run / "best.pt", SHAPES, "--json")
    assert told["weights"] == "ema" and told["part"] == "validation" and told["images"] == 6
    assert told["top1"] == pytest.approx(max(tops), abs=1e-9)
    page = (run / "report.html").read_text()
    assert "<svg" in page and "http" not in page.replace("http://www.w3.org/2000/svg", "").replace("http-equiv", "")


@pytest.mark.parametrize("how", [[], ["--train", "head", "--augment", "none"], ["--optimizer", "adam", "--mixup", "0.2"]])
def test_killed_at_any_moment(folder, how):
    """Killed without warning, again and again, the run ends with the same bytes as one that was left alone."""
    common = [SHAPES, *USUAL, "--epochs", "30", "--lr", "0.002", *how]
    finetune(*common, "-o", folder / "whole")
    process = start(*common, "-o", folder / "parts")
    kills = 0
    for _ in range(200):
        deadline = time.monotonic() + random.uniform(0.02, 0.25)
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        if process.poll() is not None:
            assert process.returncode == 0, process.stderr.read()
            break
        process.send_signal(signal.SIGKILL)
        process.wait()
        kills += 1
        if not (folder / "parts" / "last.pt").exists():
            shutil.rmtree(folder / "parts", ignore_errors=True)
            process = start(*common, "-o", folder / "parts")
        else:
            saved(folder / "parts" / "last.pt")
            process = start("--resume", folder / "parts")
            if kills >= 8:
                process.wait()
    assert kills >= 1
    assert_same(saved(folder / "whole" / "last.pt"), saved(folder / "parts" / "last.pt"))
    assert not [name for name in os.listdir(folder / "parts") if name.startswith(".")]


def test_interrupted(folder):
    """Ctrl-C ends after the step, saves, and says how to go on."""
    common = [SHAPES, *USUAL, "--epochs", "40", "--lr", "0.002"]
    process = start(*common, "-o", folder / "run")
    while not (folder / "run" / "metrics.csv").exists() or len((folder / "run" / "metrics.csv").read_text().split()) < 4:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    error = process.communicate()[1]
    assert process.returncode == 130
    assert "everything is saved" in error and f"ckpt finetune --resume {folder / 'run'} goes on" in error
    assert (folder / "run" / "report.html").exists()
    state = saved(folder / "run" / "last.pt")
    assert 2 <= state["epoch"] < 40
    lines = harness.ckpt("finetune", "--resume", folder / "run", "--epochs", "41")
    assert f"{state['epoch']} of 41 epochs are done" in lines
    assert saved(folder / "run" / "last.pt")["epoch"] == 41
    error = harness.ckpt("finetune", "--resume", folder / "run", "--epochs", "5", status=64)
    assert "less than the run's 41" in error


def bad_images(folder):
    """The pictures with files among them that are none."""
    root = folder / "images"
    shutil.copytree(SHAPES, root)
    (root / "circle" / "text.jpg").write_text("no picture")
    (root / "square" / "empty.png").write_bytes(b"")
    (root / "square" / "link.png").symlink_to("nowhere.png")
    whole = (root / "triangle" / "00.png").read_bytes()
    (root / "triangle" / "short.png").write_bytes(whole[: len(whole) // 2])
    Image.new("L", (13_000, 13_000)).save(root / "triangle" / "large.png")
    return root


def test_bad_images(folder, launch):
    """A bad image is an error that names it, or is left out and listed; memory stays bounded."""
    root = bad_images(folder)
    status, memory, error = launch("finetune", root, *USUAL, "--epochs", "1", "-o", folder / "run")
    assert status in (65, 66) and any(name in error for name in ("text.jpg", "link.png", "empty.png")), error
    assert memory < 200_000 and not (folder / "run").exists()
    status, memory, error = launch("finetune", root, *USUAL, "--epochs", "2", "--skip-bad", "-o", folder / "run")
    assert status == 0, error
    for name in ("text.jpg", "empty.png", "link.png", "short.png"):
        assert name in error, name
    assert memory < 900_000, f"{memory} kB"


@pytest.mark.parametrize(
    ("make", "status", "says"),
    [
        (lambda root: shutil.rmtree(root / "circle"), 0, ""),
        (lambda root: [p.unlink() for p in (root / "circle").iterdir()], 65, "circle"),
        (lambda root: [p.unlink() for p in sorted((root / "circle").iterdir())[1:]], 65, "circle"),
        (lambda root: [shutil.rmtree(p) for p in list(root.iterdir())], 65, "class"),
        (lambda root: shutil.rmtree(root), 66, "images"),
    ],
)
def test_bad_folders(folder, make, status, says):
    root = folder / "images"
    shutil.copytree(SHAPES, root)
    make(root)
    said = harness.ckpt("finetune", root, *USUAL, "--epochs", "1", "-o", folder / "run", status=status)
    assert says in said
    assert (folder / "run").exists() == (status == 0)


def test_other_classes_in_val(folder):
    for part in ("train", "val"):
        shutil.copytree(SHAPES, folder / "images" / part)
    (folder / "images" / "val" / "circle").rename(folder / "images" / "val" / "disc")
    error = harness.ckpt("finetune", folder / "images", *USUAL, "-o", folder / "run", status=65)
    assert "circle" in error and "disc" in error
    shutil.rmtree(folder / "images" / "val")
    error = harness.ckpt("finetune", folder / "images", *USUAL, "-o", folder / "run", status=65)
    assert "--val" in error
    harness.ckpt("finetune", folder / "images", *USUAL, "--val", "0.25", "--epochs", "1", "-o", folder / "run")
    error = harness.ckpt("finetune", folder / "images", *USUAL, "--val", "0.25", "-o", folder / "run", status=73)
    assert "--force" in error
    (folder / "run" / "mine.txt").write_text("mine")
    error = harness.ckpt("finetune", folder / "images", *USUAL, "--val", "0.25", "--force", "-o", folder / "run", status=65)
    assert "mine.txt" in error and (folder / "run" / "mine.txt").exists() and (folder / "run" / "best.pt").exists()
