"""Files that people have in a checkpoint's place, made by the real programs; and what a file does not tell: which of two
models is meant, rows that no text reached, numbers that config.json has."""

import bz2
import gzip
import io
import json
import lzma
import subprocess
import sys
import tarfile
import zipfile

import models as zoo  # fixtures/models.py
import pytest
import torch
import transformers
from harness import ckpt
from model_figures import figures
from PIL import Image


def saved(value):
    stream = io.BytesIO()
    torch.save(value, stream)
    return stream.getvalue()


def tar(mode, form, name):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode, format=form) as archive:
        info = tarfile.TarInfo(name)
        data = saved({"w": torch.ones(2)})
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    return stream.getvalue()


def zipped(names):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in names:
            archive.writestr(name, "{}")
    return stream.getvalue()


def image(kind):
    stream = io.BytesIO()
    Image.new("RGB", (20, 20), (10, 200, 30)).save(stream, kind)
    return stream.getvalue()


def others():
    """What each is called, and the bytes that the real program makes."""
    state = saved({"w": torch.randn(100)})
    yield "gzip", gzip.compress(state)
    yield "bzip2", bz2.compress(state)
    yield "xz", lzma.compress(state)
    zstd = subprocess.run(["zstd", "-c", "-q"], input=state, capture_output=True) if has("zstd") else None
    if zstd:
        yield "zstd", zstd.stdout
    for form in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        yield "tar", tar("w", form, "weights.ckpt")
        yield "tar", tar("w:gz", form, "weights.ckpt")
    yield "NeMo", tar("w", tarfile.GNU_FORMAT, "./model_config.yaml")
    yield "Keras", zipped(["metadata.json", "config.json", "model.weights.h5"])
    yield "TorchServe", zipped(["MAR-INF/MANIFEST.json", "model.pt"])
    yield "zip", zipped(["weights.pt"])
    for kind in ("PNG", "JPEG", "GIF", "WebP", "BMP", "TIFF", "PDF"):
        yield kind, image(kind)
    with open(sys.executable, "rb") as program:
        yield "ELF", program.read(100_000)
    yield "JSON", transformers.BertConfig().to_json_string().encode()


def has(program):
    return subprocess.run(["which", program], capture_output=True).returncode == 0

OTHERS = list(others())


@pytest.mark.parametrize("number", range(len(OTHERS)), ids=[f"{number} {word}" for number, (word, _) in enumerate(OTHERS)])
def test_other_file(folder, number):
    word, data = OTHERS[number]
    path = folder / f"{number}.pt"
    path.write_bytes(data)
    said = {ckpt(*call, status=65) for call in (
        ("ls", path), ("show", path), ("stats", path), ("hash", path), ("verify", path),
        ("convert", path, "-o", folder / "out.safetensors"), ("filter", path, "-o", folder / "out.pt"))}
    assert len(said) == 1, said
    text = said.pop()
    assert word.lower() in text.lower() and text.count("\n") == 2, text
    assert not (folder / "out.pt").exists() and not (folder / "out.safetensors").exists()


@pytest.mark.parametrize("name, word", [("a.pt2", "torch.export"), ("b.pt", "torch.package")])
def test_program(folder, name, word):
    """torch.export's and torch.package's archives are whole, and no checkpoints."""
    net = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU())
    torch.export.save(torch.export.export(net, (torch.randn(1, 4),)), folder / "a.pt2")
    with torch.package.PackageExporter(folder / "b.pt") as exporter:
        exporter.extern("**")
        exporter.save_pickle("model", "model.pkl", net)
    path = folder / name
    found = ckpt("verify", path, "--json")
    assert found["intact"] and word in found["other"], found
    assert word in ckpt("ls", path, status=65)
    data = bytearray(path.read_bytes())
    place = data.index(net[0].bias.detach().numpy().tobytes())
    data[place] ^= 1
    broken = folder / f"broken_{name}"
    broken.write_bytes(data)
    assert "damaged" in ckpt("verify", broken, status=1, output=True)


def student_and_teacher():
    zoo.seed()
    return (torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Linear(3, 2)) for _ in range(2))


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.Adam, torch.optim.Adafactor])
def test_two_places(folder, kind):
    """Of a student and its teacher, none is chosen; an optimizer follows where it is named."""
    student, teacher = student_and_teacher()
    options = {"momentum": 0.9} if kind is torch.optim.SGD else {}
    optimizer = kind(student.parameters(), lr=0.1, **options)
    student(torch.randn(2, 4)).sum().backward()
    optimizer.step()
    source, out = folder / f"{kind.__name__}.pt", folder / f"{kind.__name__}_out.pt"
    torch.save(
        {"student": student.state_dict(), "teacher": teacher.state_dict(), "optimizer": optimizer.state_dict()}, source)
    edit = ("filter", source, "--exclude", "under:1", "-o", out, "--force")
    assert "optimizer=auto" in ckpt(*edit, "--at", "teacher", "--optimizer", "params=auto", status=65)
    assert not out.exists()
    ckpt(*edit, "--at", "student", "--optimizer", "optimizer=auto")
    found = torch.load(out, weights_only=True)
    small = torch.nn.Sequential(torch.nn.Linear(4, 3))
    small.load_state_dict(found["student"])
    again = kind(small.parameters(), lr=0.1, **options)
    again.load_state_dict(found["optimizer"])
    for number in range(2):
        for key, value in optimizer.state_dict()["state"][number].items():
            assert torch.equal(torch.as_tensor(found["optimizer"]["state"][number][key]), torch.as_tensor(value))
    assert set(found["teacher"]) == set(teacher.state_dict())


def test_two_places_in_check(folder):
    student, teacher = student_and_teacher()
    both = {f"{who}.backbone.{k}": v for who, m in (("student", student), ("teacher", teacher))
            for k, v in m.state_dict().items()}
    torch.save(both, folder / "both.pt")
    torch.save(student.state_dict(), folder / "reference.pt")
    arguments = ("check", folder / "both.pt", "--against", folder / "reference.pt", "--json")
    found = json.loads(ckpt(*arguments, status=1, output=True))
    assert found.get("suggestion") is None
    assert [place["place"] for place in found["places"]] == ["student.backbone", "teacher.backbone"]
    for place in found["places"]:
        assert ckpt("check", folder / "both.pt", "--against", folder / "reference.pt", *place["arguments"], "--json")["loadable"]


TINY = {"vocab_size": 100, "num_hidden_layers": 2}
MODELS = {
    "bert": lambda: transformers.BertForMaskedLM(transformers.BertConfig(
        hidden_size=128, num_attention_heads=8, intermediate_size=64, hidden_act="relu", layer_norm_eps=1e-3,
        max_position_embeddings=32, **TINY)),
    "gpt2": lambda: transformers.GPT2LMHeadModel(transformers.GPT2Config(
        n_embd=128, n_head=8, n_layer=2, n_positions=32, vocab_size=100, activation_function="relu",
        layer_norm_epsilon=1e-3)),
    "llama": lambda: transformers.LlamaForCausalLM(transformers.LlamaConfig(
        hidden_size=128, num_attention_heads=8, num_key_value_heads=4, intermediate_size=64, rms_norm_eps=1e-3,
        rope_parameters={"rope_type": "default", "rope_theta": 500.0}, **TINY)),
}


@pytest.mark.parametrize("name", MODELS)
def test_configuration(folder, name):
    """What config.json says is what is run."""
    inputs, targets = zoo.tokens(2, 16, 100)
    model, inner = MODELS[name](), folder / name
    inner.mkdir()
    model.eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    model.config.save_pretrained(inner)
    with torch.no_grad():
        wanted = model(inputs).logits
    found = figures(inner, name, model.state_dict(), inputs, targets)["logits"]
    error = ((found.reshape(wanted.shape) - wanted).norm() / wanted.norm()).item()
    assert error < 1e-5, error
    model.save_pretrained(inner)
    report = ckpt("verify", inner, "--model", name, "--steps", 0, "--json")["model"]
    assert report["hyperparameters"]["heads"] == 8 and report["guessed"] == [], report
    (inner / "config.json").unlink()
    try:
        report = ckpt("verify", inner / "model.safetensors", "--model", name, "--steps", 0, "--json")["model"]
    except AssertionError:
        assert name == "llama"  # Four heads of keys are none of 64 numbers.
    else:
        assert "heads" in report["guessed"], report
