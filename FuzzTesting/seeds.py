"""Writes the first inputs of each target, from the fixtures.

    python3 FuzzTesting/seeds.py FOLDER      FOLDER/TARGET/…; Python alone
"""

import pathlib
import re
import struct
import sys
import zipfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
FIXTURES = ROOT / "fixtures"
LIMIT = 20_000  # Larger files are changed too slowly.


def files(pattern):
    return [path for path in sorted(FIXTURES.glob(pattern)) if path.is_file() and path.stat().st_size <= LIMIT]


def pickles(path):
    """The pickles in an archive's records."""
    try:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if name.endswith("data.pkl"):
                    yield archive.read(name)
    except Exception:
        return


def gguf():
    """Small files with a value of each type, and tensors of several types."""
    def text(value):
        return struct.pack("<Q", len(value)) + value.encode()

    values = [
        (0, b"\x01"), (1, b"\xff"), (2, b"\x01\x02"), (3, b"\xff\xff"), (4, b"\1\0\0\0"), (5, b"\xff" * 4),
        (6, b"\0\0\x80\x3f"), (7, b"\1"), (8, text("value")), (9, struct.pack("<IQ", 4, 2) + bytes(8)),
        (9, struct.pack("<IQ", 8, 2) + text("a") + text("b")), (10, bytes(8)), (11, b"\xff" * 8), (12, bytes(8)),
    ]
    metadata = b"".join(text(f"key.{n}") + struct.pack("<I", kind) + data for n, (kind, data) in enumerate(values))
    metadata += text("general.alignment") + struct.pack("<II", 4, 32)
    for kind, elements, size in [(0, 8, 32), (1, 8, 16), (2, 32, 18), (8, 32, 34), (12, 256, 144), (30, 8, 16)]:
        tensor = text("w") + struct.pack("<IQIQ", 1, elements, kind, 0)
        start = b"GGUF" + struct.pack("<IQQ", 3, 1, len(values) + 1) + metadata + tensor
        yield start + bytes(-len(start) % 32) + bytes(range(size))


def seeds():
    checkpoints = files("*.pt") + files("scan/*") + files("bad/*.pt")
    archives = [path for path in checkpoints if path.read_bytes()[:2] == b"PK"]
    others = [path for path in checkpoints if path not in archives]
    contents = lambda paths: [path.read_bytes() for path in paths]
    graphs = [data for path in archives for data in pickles(path)]
    yield "zip", contents(archives + files("formats_more/*.npz") + files("formats_more/bad/*.npz"))
    yield "checkpoint", contents(checkpoints + files("formats/*.safetensors") + files("formats_more/*.*"))
    yield "verify", contents(checkpoints + files("scan/*"))
    yield "legacy", contents([path for path in others if "tar" not in path.name])
    yield "tar", contents([path for path in others if "tar" in path.name])
    yield "npz", contents(files("formats_more/*.npz") + files("formats_more/bad/*.npz"))
    yield "pickle", graphs + contents(files("scan/*.pkl")) + contents(files("formats_more/**/.metadata"))
    yield "tensors", graphs
    yield "safetensors", contents(files("formats/**/*.safetensors"))
    yield "index", contents(files("formats/**/*.index.json"))
    yield "gguf", contents(files("formats_more/**/*.gguf")) + list(gguf())
    yield "npy", contents(files("formats_more/**/*.npy"))
    yield "distributed", contents(files("formats_more/**/.metadata"))
    states = []
    for folder in sorted(FIXTURES.glob("formats_more/**/zero*/")) + sorted(FIXTURES.glob("formats_more/zero*/*/")):
        parts = [next((data for path in sorted(folder.glob(f"*{ending}")) for data in pickles(path)), None)
                 for ending in ("_optim_states.pt", "_model_states.pt")]
        if None not in parts:
            states.append(parts[0] + bytes(4) + parts[1])
    yield "deepspeed", states
    yield "json", contents(files("formats/**/*.json") + files("*.json"))
    sources = ROOT / "Sources"
    book = (sources / "CkptRecipes" / "recipes.yml").read_text()
    recipes = ["recipes:\n  " + part for part in re.split(r"\n  (?=\S)", book.split("\nrecipes:\n", 1)[1])]
    yield "recipes", [text.encode() for text in [book[:LIMIT], *recipes]]
    examples = [path.read_bytes() for path in sorted((ROOT / "Examples" / "models").glob("*.yml"))]
    yield "models", examples + contents(files("described/*.yml"))
    merges = [
        "merge_method: linear\nmodels:\n  - model: a.pt\n    parameters:\n      weight:\n"
        "        - {filter: attn, value: [0, 3]}\n        - {filter: mlp, value: 1}\n  - model: b.pt\n"
        "parameters: {weight: 2e-0, normalize: false}\n",
        "merge_method: passthrough\nslices:\n  - sources: [{model: a.pt, layer_range: [0, 3]}]\n  - sources:\n"
        "      - model: b.pt\n        layer_range: [2, 4]\n        parameters: {scale: [{filter: mlp, value: 0.5}]}\n"
        "dtype: float64\nout_dtype: float16\n",
        "{merge_method: ties, base_model: ../b, models: [{model: a}, {model: /x/c}, {model: a}],"
        " parameters: {density: 0.5}}",
        "merge_method: slerp\nbase_model: a\nslices:\n- sources:\n  - &x {model: a, layer_range: [0, 4]}\n"
        "  - {model: b, layer_range: [4, 8]}\nparameters: {t: [0, 0.5, 1]}\n",
    ]
    yield "merges", [text.encode() for text in merges]
    patterns = [
        "re:^module\\.(.*)$\n$1\nmodule.fc.weight\nfc.bias", "glob:layer[0-9].**.{weight,bias}\n\nlayer1.a.weight",
        "(?P<n>[a-z]+)\\.(\\d{1,3})(?:\\.|$)\n${n}_$2\nab.12.c\nab.1", "(?i)a|b*?c+?[^d-f\\w]{2,}\n$$\nABC",
        "under:layer1\nx\nlayer1.0", "^(a?){20}a{20}$\n$1\naaaaaaaaaaaaaaaaaaaaa", "\\bx\\B\\A\\Z\n$0\nx y",
    ]
    yield "patterns", [text.encode() for text in patterns]
    yield "image", contents(files("images/*.*"))


def main():
    folder = pathlib.Path(sys.argv[1])
    for target, inputs in seeds():
        inner = folder / target
        inner.mkdir(parents=True, exist_ok=True)
        known = set()
        for number, data in enumerate(inputs):
            if data not in known and len(data) <= LIMIT:
                known.add(data)
                (inner / f"seed-{number:04}").write_bytes(data)


if __name__ == "__main__":
    main()
