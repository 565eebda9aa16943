"""`ckpt merge --method lora` beside LoRA's formula, computed in 64 bits."""

import json

import pytest
import torch
from bits import distance
from harness import ckpt


@pytest.fixture(scope="module")
def lora_base():
    torch.manual_seed(9)
    return {
        "model.layers.0.q.weight": torch.randn(70, 90), "model.layers.0.conv.weight": torch.randn(12, 5, 3, 3),
        "model.embed.weight": torch.randn(200, 16), "model.layers.0.c_attn.weight": torch.randn(24, 60),
        "model.layers.0.half.weight": torch.randn(33, 41).bfloat16(), "model.norm.weight": torch.randn(7),
    }


def merged(folder, base, adapter, *options):
    torch.save(base, folder / "lora_base.pt")
    (folder / "adapter").mkdir(exist_ok=True)
    torch.save(adapter, folder / "adapter" / "adapter_model.bin")
    out = folder / "lora_out.pt"
    ckpt("merge", folder / "lora_base.pt", folder / "adapter" / "adapter_model.bin", "--method", "lora", *options, "-o", out, "--force")
    return torch.load(out)


def compare(base, found, wanted):
    assert list(found) == list(base)
    for key, value in base.items():
        expected = wanted.get(key, value.double()).to(value.dtype)
        apart = distance(found[key], expected)
        assert apart <= 1, f"{key}: {apart} places apart"


def test_peft_keys(folder, lora_base):
    base = lora_base
    (folder / "adapter").mkdir()
    a, b = torch.randn(4, 90), torch.randn(70, 4)
    ca, cb = torch.randn(3, 5, 3, 3), torch.randn(12, 3, 1, 1)
    ea, eb = torch.randn(4, 200), torch.randn(16, 4)
    ta, tb = torch.randn(4, 24), torch.randn(60, 4)
    ha, hb = torch.randn(4, 41).bfloat16(), torch.randn(33, 4).bfloat16()
    p = "base_model.model.model."
    adapter = {
        p + "layers.0.q.lora_A.weight": a, p + "layers.0.q.lora_B.weight": b,
        p + "layers.0.conv.lora_A.default.weight": ca, p + "layers.0.conv.lora_B.default.weight": cb,
        p + "embed.lora_embedding_A": ea, p + "embed.lora_embedding_B": eb,
        p + "layers.0.c_attn.lora_A.weight": ta, p + "layers.0.c_attn.lora_B.weight": tb,
        p + "layers.0.half.lora_A.weight": ha, p + "layers.0.half.lora_B.weight": hb,
        p + "norm.modules_to_save.weight": torch.arange(7.0),
    }
    products = {
        "model.layers.0.q.weight": b.double() @ a.double(),
        "model.layers.0.conv.weight": (cb.flatten(1).double() @ ca.flatten(1).double()).reshape(12, 5, 3, 3),
        "model.embed.weight": (eb.double() @ ea.double()).T, "model.layers.0.c_attn.weight": (tb.double() @ ta.double()).T,
        "model.layers.0.half.weight": hb.double() @ ha.double(),
    }
    common = {"r": 4, "lora_alpha": 16, "rank_pattern": {"conv": 3}}
    for config, options, scale in (
        (None, ["--scale", "1"], 1), (common, [], 4), ({**common, "use_rslora": True}, ["--scale", "0.5"], 4),
    ):
        path = folder / "adapter" / "adapter_config.json"
        path.unlink(missing_ok=True)
        if config:
            path.write_text(json.dumps(config))
        wanted = {}
        for key, product in products.items():
            rank = 3 if "conv" in key else 4
            own = scale if not config else 16 / rank if "use_rslora" not in config else 0.5 * 16 / rank**0.5
            wanted[key] = base[key].double() + own * product
        wanted["model.norm.weight"] = torch.arange(7.0)
        compare(base, merged(folder, base, adapter, *options), wanted)
    (folder / "adapter" / "adapter_config.json").unlink()


def test_kohya_keys(folder, lora_base):
    base = lora_base
    a, b = torch.randn(4, 90), torch.randn(70, 4)
    adapter = {
        "lora_unet_layers_0_q.lora_down.weight": a, "lora_unet_layers_0_q.lora_up.weight": b,
        "lora_unet_layers_0_q.alpha": torch.tensor(2.0),
    }
    wanted = {"model.layers.0.q.weight": base["model.layers.0.q.weight"].double() + 0.5 * b.double() @ a.double()}
    compare(base, merged(folder, base, adapter), wanted)


def test_misfits(folder, lora_base):
    """All that does not fit is told."""
    torch.save(lora_base, folder / "lora_base.pt")
    (folder / "adapter").mkdir()
    adapter = {"x.lora_A.weight": torch.randn(2, 3), "model.norm.lora_A.weight": torch.randn(2, 7),
               "model.norm.lora_B.weight": torch.randn(7, 2), "q.lora_A.weight": torch.randn(2, 3)}
    torch.save(adapter, folder / "adapter" / "bad.bin")
    error = ckpt("merge", folder / "lora_base.pt", folder / "adapter" / "bad.bin", "--method", "lora", "-o", folder / "no.pt", status=65)
    for part in ("x: one of", "model.norm: ", "q: one of"):
        assert part in error, error
