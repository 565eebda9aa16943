"""A run's folder: what it holds, and that nothing which ends a run early costs more than a step."""

import csv
import json
import os
import random
import re
import shutil
import signal
import struct
import subprocess
import time

import harness
import numpy
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


def keys(value):
    """The keys of a JSON document at all depths."""
    if isinstance(value, dict):
        yield from value
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from keys(item)


@pytest.mark.parametrize(
    ("how", "end"),
    [
        (["--epochs", "2"], "finished"),
        # Rates that are too small to change a weight, so that no epoch is better than the first.
        (["--epochs", "9", "--patience", "1", "--lr", "1e-30", "--augment", "none"], "out_of_patience"),
        (["--epochs", "9", "--max-time", "0.001"], "out_of_time"),
        (["--epochs", "100000"], "interrupted"),
    ],
)
def test_json_lines(folder, how, end):
    """One document a line, whose names are lower case with underscores, for each way in which a training ends."""
    command = [harness.CKPT, "finetune", SHAPES, *USUAL, *how, "--train", "head", "--json", "-o", folder / "run"]
    process = subprocess.Popen([*map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    lines = [process.stdout.readline(), process.stdout.readline()]
    if end == "interrupted":
        process.send_signal(signal.SIGINT)
    rest, error = process.communicate()
    assert process.returncode == (130 if end == "interrupted" else 0), error
    documents = [json.loads(line) for line in lines + rest.splitlines()]
    events = [document["event"] for document in documents]
    assert events[0] == "start" and events[-1] == "end" and set(events[1:-1]) <= {"epoch"}
    assert documents[-1]["end"] == end and documents[-1]["epochs"] == len(events) - 2
    assert documents[-1]["run"] == documents[0]["run"] == str(folder / "run")
    assert documents[-1].get("top1") == max((row["top1"] for row in documents[1:-1]), default=None)
    for name in keys(documents):
        assert re.fullmatch("[a-z][a-z0-9_]*", name), name


@pytest.mark.parametrize("how", [[], ["--train", "head", "--augment", "none"]])
def test_find_lr(folder, how):
    """The rule in the guide, in numpy, from the losses that the command reports."""
    told = harness.ckpt("finetune", SHAPES, *USUAL, *how, "--find-lr", "--json")
    points = told["points"]
    rates, losses, smoothed = (
        numpy.array([point[name] for point in points]) for name in ("lr", "loss", "smoothed_loss")
    )
    assert numpy.allclose(rates, numpy.geomspace(1e-6, 1, 100)[: len(rates)], rtol=1e-9)
    averages = []
    for count in range(1, len(losses) + 1):
        weights = 0.98 ** numpy.arange(count)[::-1]
        averages.append((weights * losses[:count]).sum() / weights.sum())
    assert numpy.allclose(smoothed, averages, rtol=1e-9)
    averages = numpy.array(averages)
    lowest = numpy.minimum.accumulate(averages)
    assert not (averages[:-1] > 4 * lowest[:-1]).any()
    assert len(points) == 100 or averages[-1] > 4 * lowest[-1]
    # Neither the first ten steps nor the last five.
    averages, rates = averages[10:-5], rates[10:-5]
    falls = averages[:-1] - averages[1:]
    best = falls.argmax()
    assert falls[best] > 0
    assert told["suggestion"] == pytest.approx(numpy.sqrt(rates[best] * rates[best + 1]), rel=1e-9)
    # The search trains: with rates that grow, the loss falls before it grows.
    assert averages.min() < averages[0]
    # The text names the option that the rate is meant for.
    text = harness.ckpt("finetune", SHAPES, *USUAL, *how, "--find-lr")
    option, rate = text.splitlines()[-1].split(":")[0].split()
    assert option == ("--head-lr" if how else "--lr")
    assert float(rate) == pytest.approx(told["suggestion"], rel=1e-3)


def resumed(folder, *how, status=0):
    return harness.ckpt("finetune", "--resume", folder / "run", *how, status=status)


def test_resumed_differently(folder):
    """What may be another when a run continues is taken; all else is refused with a line that says so."""
    shutil.copytree(SHAPES, folder / "images")
    finetune(folder / "images", *USUAL, "--epochs", "2", "--max-time", "0.001", "-o", folder / "run")
    before = saved(folder / "run" / "last.pt")
    assert before["epoch"] == 0 and before["progress"]["step"] == 1
    for words, says in [
        (["--epochs", "1"], "less than the run's 2"), (["--threads", "0"], "--threads"),
        (["--batch-size", "8"], "--batch-size"), (["--lr", "1"], "--lr"), (["--force"], "--force"),
        (["--skip-bad"], "--skip-bad"), ([folder / "images"], "leave DATA out"), (["-o", folder / "x"], "args.yml"),
    ]:  # fmt: skip
        assert says in resumed(folder, *words, status=64), words
    # Images: one more, one renamed, a class less, no folder.
    images = folder / "images"
    shutil.copy(images / "circle" / "00.png", images / "circle" / "more.png")
    assert "30 + 6 then, 30 + 7 now" in resumed(folder, status=65)
    (images / "circle" / "00.png").unlink()
    assert "as many, with other names or classes" in resumed(folder, status=65)
    (images / "circle" / "more.png").rename(images / "circle" / "00.png")
    (images / "circle").rename(folder / "circle")
    assert "30 + 6 then, 20 + 4 now" in resumed(folder, status=65)
    (folder / "circle").rename(images / "circle")
    images.rename(folder / "moved")
    assert str(images) in resumed(folder, status=66)
    (folder / "moved").rename(images)
    (images / "circle" / "00.png").write_bytes(b"")
    assert "00.png" in resumed(folder, status=65)
    shutil.copy(SHAPES / "circle" / "00.png", images / "circle" / "00.png")
    # Nothing of that changed the run.
    assert_same(saved(folder / "run" / "last.pt"), before)
    resumed(folder, "--epochs", "3", "--max-time", "1h", "--threads", "1")
    state = saved(folder / "run" / "last.pt")
    assert state["epoch"] == 3 and state["args"]["epochs"] == 3 and state["args"]["max_time"] == 3600
    # A run that is complete says so, and stays.
    assert "3 of 3 epochs are done" in resumed(folder)
    assert_same(saved(folder / "run" / "last.pt"), state)


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


@pytest.mark.parametrize("seed", range(3))
def test_one_image_left_in_a_batch(folder, seed):
    """Images that turn out damaged when they are decoded may leave one of a batch: PyTorch's batch normalization does not
    train on one value per channel; here such an image joins another batch."""
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        torch.nn.BatchNorm2d(4).train()(torch.zeros(1, 4, 1, 1))
    shutil.copytree(SHAPES, folder / "images")
    rest = random.Random(seed)
    damaged = []
    for path in sorted((folder / "images").rglob("*.png")):
        if rest.random() < 0.3:
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
            damaged.append(path)
    finetune(
        folder / "images", *USUAL[:-1], "2", "--seed", seed, "--epochs", "2", "--skip-bad", "-o", folder / "run"
    )  # fmt: skip
    done = subprocess.run(
        [harness.CKPT, "finetune", "--resume", folder / "run", "--epochs", "3", "--json"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    end = json.loads(done.stdout.splitlines()[-1])
    assert sorted(row["image"] for row in end["omitted"]) == sorted(map(str, damaged))
    assert end["epochs"] == 3


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
