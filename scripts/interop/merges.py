"""`ckpt merge` beside mergekit: its methods, its recipes, and LoRA's formula."""

import contextlib
import io
import json
import sys
import types

import torch
import yaml
from harness import check, ckpt
from mergekit.merge_methods.api import merge_tensors

BITS = {torch.float64: torch.int64, torch.float32: torch.int32, torch.bfloat16: torch.int16, torch.float16: torch.int16}


def distance(left, right):
    """How many representable numbers lie between two tensors' elements, at most."""
    assert left.dtype == right.dtype and left.shape == right.shape, (left.dtype, right.dtype, left.shape, right.shape)
    least = torch.iinfo(BITS[left.dtype]).min
    a, b = (x.contiguous().view(BITS[x.dtype]).to(torch.int64) for x in (left, right))
    a, b = (torch.where(x < 0, least - x, x) for x in (a, b))
    return (a - b).abs().max().item() if left.numel() else 0


def models(folder, count, seed, dtypes=(torch.float32, torch.bfloat16)):
    torch.manual_seed(seed)
    shapes = {"a.weight": [67, 331], "a.bias": [5000], "conv.weight": [8, 16, 3, 3], "empty": [0, 3]}
    base = {key: torch.randn(shape, dtype=torch.float64) for key, shape in shapes.items()}
    paths, result = [], []
    for index in range(count):
        model = {}
        for place, (key, value) in enumerate(base.items()):
            noise = 0.05 * torch.randn(value.shape, dtype=torch.float64) * (index > 0)
            model[key] = (value + noise).to(dtypes[place % len(dtypes)])
        model["steps"] = torch.tensor(index)
        path = folder / f"model{seed}_{index}.pt"
        torch.save(model, path)
        paths.append(path)
        result.append(model)
    return paths, result


# name, how many models, options, mergekit's method and parameters, whether there is a base
METHODS = [
    ("linear", 3, ["--weights", "0.2,0.5,0.9"], "linear", {"weight": [0.2, 0.5, 0.9]}, False),
    ("linear", 2, ["--weights", "0.2,0.5", "--no-normalize"], "linear", {"weight": [0.2, 0.5], "normalize": False}, False),
    ("slerp", 2, ["--t", "0.35"], "slerp", {"t": 0.35}, True),
    ("nuslerp", 2, ["--weights", "0.2,0.5"], "nuslerp", {"weight": [0.2, 0.5]}, False),
    ("multislerp", 3, ["--weights", "0.2,0.5,0.4"], "multislerp", {"weight": [0.2, 0.5, 0.4]}, False),
    ("karcher", 3, [], "karcher", {}, False),
    ("task-arithmetic", 3, ["--weights", "0.2,0.5", "--lambda", "0.8"], "task_arithmetic", {"weight": [0.2, 0.5], "lambda": 0.8}, True),
    ("ties", 3, ["--weights", "0.7,0.5", "--density", "0.2,0.6"], "ties", {"weight": [0.7, 0.5], "density": [0.2, 0.6]}, True),
    ("ties", 4, ["--weights", "0.7", "--density", "0.4", "--rescale", "--no-normalize"], "ties", {"weight": [0.7] * 3, "density": [0.4] * 3, "rescale": True, "normalize": False}, True),
    ("breadcrumbs", 3, ["--weights", "0.7,0.5", "--density", "0.2,0.6", "--gamma", "0.1"], "breadcrumbs", {"weight": [0.7, 0.5], "density": [0.2, 0.6], "gamma": [0.1, 0.1]}, True),
    ("breadcrumbs-ties", 3, ["--weights", "0.7,0.5", "--density", "0.2,0.6"], "breadcrumbs_ties", {"weight": [0.7, 0.5], "density": [0.2, 0.6]}, True),
    ("dare-ties", 3, ["--weights", "0.7,0.5", "--density", "1"], "dare_ties", {"weight": [0.7, 0.5], "density": [1.0, 1.0]}, True),
    ("sce", 3, [], "sce", {}, True),
    ("sce", 4, ["--select-topk", "0.2"], "sce", {"select_topk": 0.2}, True),
    ("model-stock", 3, [], "model_stock", {}, True),
    ("model-stock", 4, ["--filter-wise"], "model_stock", {"filter_wise": True}, True),
    ("nearswap", 2, ["--t", "0.02"], "nearswap", {"t": 0.02}, True),
    ("arcee-fusion", 2, [], "arcee_fusion", {}, True),
]
# Which of equal numbers are chosen is left to an unstable sort in mergekit; with bfloat16 many are equal.
SORTING = {"ties", "breadcrumbs", "breadcrumbs-ties", "sce"}


def methods(folder):
    def action(case, number):
        method, count, options, name, parameters, has_base = case
        dtypes = (torch.float32,) if method in SORTING else (torch.float32, torch.bfloat16, torch.float16)
        paths, tensors = models(folder, count, number, dtypes)
        out = folder / f"out{number}.pt"
        report = ckpt("merge", *paths, "--method", method, *options, "-o", out, "--exclude", "empty", "--json")
        assert report["copied"] == ["steps"], report
        merged = torch.load(out)
        assert list(merged) == list(tensors[0])
        for key in report["merged"]:
            inputs = [model[key] for model in tensors]
            wanted = merge_tensors(
                inputs, name, parameters=parameters, base_index=0 if has_base else None,
                dtype=torch.float64, out_dtype=inputs[0].dtype,
            )
            apart = distance(merged[key], wanted)
            assert apart <= 1, f"{key}: {apart} places apart"
        assert torch.equal(merged["steps"], tensors[0]["steps"])

    for number, case in enumerate(METHODS):
        check(f"merge {case[0]} {' '.join(case[2])}", lambda: action(case, number))


def chance(folder):
    """What is kept by chance is the whole task vector's element, as often as mergekit's own density."""

    def action(method, density):
        paths, (base, other) = models(folder, 2, 77, (torch.float32,))
        out = folder / "chance.pt"
        options = ["--weights", "1", "--density", str(density), "--no-rescale", "--exclude", "empty"]
        if "della" in method:
            options += ["--epsilon", "0.1", "--no-normalize"]
        ckpt("merge", *paths, "--method", method, *options, "-o", out, "--force")
        merged = torch.load(out)
        kept = total = theirs = 0
        for key in ("a.weight", "a.bias"):
            delta = other[key].double() - base[key].double()
            whole = (base[key].double() + delta).float()
            same = merged[key] == base[key]
            assert torch.equal(torch.where(same, base[key], whole), merged[key])
            kept += (~same).sum().item()
            total += same.numel()
            parameters = {"weight": [1.0], "density": [density], "rescale": False, "normalize": False}
            if "della" in method:
                parameters["epsilon"] = [0.1]
            expected = merge_tensors(
                [base[key], other[key]], method.replace("-", "_"), parameters=parameters, base_index=0
            )
            theirs += (expected != base[key]).sum().item()
        spread = (total * density * (1 - density)) ** 0.5
        assert abs(kept - total * density) < 4 * spread, (kept / total, density)
        assert abs(kept - theirs) < 6 * spread, (kept, theirs)

    for method in ("dare-linear", "dare-ties", "della", "della-linear"):
        for density in (0.3, 0.8):
            check(f"merge {method} --density {density}", lambda: action(method, density))


def averages(folder):
    def action():
        paths, tensors = models(folder, 4, 88, (torch.float32,))
        names = [key for key in tensors[0] if key != "steps"]
        holders = [torch.nn.ParameterDict({str(i): m[k].double() for i, k in enumerate(names)}) for m in tensors]
        for options, average in (
            (["swa"], torch.optim.swa_utils.AveragedModel(holders[0])),
            (["ema", "--decay", "0.7"], torch.optim.swa_utils.AveragedModel(holders[0], multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.7))),
        ):
            for holder in holders:
                average.update_parameters(holder)
            out = folder / "average.pt"
            ckpt("merge", *paths, "--method", *options, "-o", out, "--force")
            merged = torch.load(out)
            for index, key in enumerate(names):
                wanted = average.module[str(index)].detach().float()
                assert distance(merged[key], wanted) <= 1, key

    check("merge swa and ema, beside torch.optim.swa_utils", action)


RECIPES = {
    "ties with gradients and filters": """
merge_method: ties
base_model: base
models:
  - model: base
  - model: one
    parameters: {weight: [0.2, 0.9, 0.1], density: 1.0}
  - model: two
    parameters:
      weight:
        - {filter: self_attn, value: [0.3, 0.5]}
        - {filter: mlp, value: 0.7}
        - value: 1e-1
      density: 0.5
parameters: {normalize: true, int8_mask: true}
dtype: float64
out_dtype: float32
""",
    "linear over slices": """
merge_method: linear
slices:
  - sources:
      - {model: one, layer_range: [0, 3], parameters: {weight: [0.1, 0.5]}}
      - {model: two, layer_range: [1, 4], parameters: {weight: 0.4}}
  - sources:
      - {model: base, layer_range: [2, 4]}
      - {model: two, layer_range: [0, 2], parameters: {weight: 0.9}}
    parameters: {weight: 0.3}
dtype: float64
out_dtype: float32
""",
    "slerp with t by filter": """
merge_method: slerp
base_model: one
slices:
  - sources:
      - {model: one, layer_range: [0, 4]}
      - {model: two, layer_range: [0, 4]}
parameters:
  t:
    - {filter: self_attn, value: [0, 0.5, 0.3, 0.7, 1]}
    - {filter: mlp, value: [1, 0.5, 0.7, 0.3, 0]}
    - value: 0.5
dtype: float64
out_dtype: float32
""",
    "passthrough of layers of two models": """
merge_method: passthrough
slices:
  - sources: [{model: one, layer_range: [0, 3]}]
  - sources: [{model: two, layer_range: [1, 4], parameters: {scale: [{filter: o_proj, value: 0.5}, {value: 1.0}]}}]
dtype: float64
out_dtype: float32
""",
    "task_arithmetic, base apart": """
merge_method: task_arithmetic
base_model: base
models:
  - {model: one, parameters: {weight: 0.6}}
  - {model: two, parameters: {weight: -0.3}}
parameters: {lambda: 1.2}
dtype: float64
out_dtype: float32
""",
}


def mergekit_plan(text, root, config):
    """The tensors that mergekit itself makes of a recipe."""
    # It imports these for adapters and graphics cards, which play no part here.
    for name in ("peft", "accelerate"):
        sys.modules.setdefault(name, types.ModuleType(name))
    from mergekit.architecture import arch_info_for_config
    from mergekit.config import MergeConfiguration
    from mergekit.graph import Executor
    from mergekit.options import MergeOptions
    from mergekit.plan import MergePlanner

    def absolute(value):
        if isinstance(value, dict):
            paths = {"model", "base_model"}
            return {k: str(root / v) if k in paths else absolute(v) for k, v in value.items()}
        return [absolute(item) for item in value] if isinstance(value, list) else value

    recipe = MergeConfiguration.model_validate(absolute(yaml.safe_load(text)))
    planner = MergePlanner(recipe, arch_info_for_config(config), MergeOptions(), config)
    planner._plan()
    names = {task: weight.name for weight, task in planner._tensors}
    executor = Executor(list(names), math_device="cpu", storage_device="cpu")
    return {names[task]: value.to(torch.float32) for task, value in executor.run(quiet=True)}


def recipes(folder):
    import transformers

    transformers.utils.logging.disable_progress_bar()
    torch.manual_seed(5)
    config = transformers.LlamaConfig(
        hidden_size=32, intermediate_size=48, num_hidden_layers=4, num_attention_heads=4,
        num_key_value_heads=2, vocab_size=64,
    )
    start = transformers.LlamaForCausalLM(config).state_dict()
    for name in ("base", "one", "two"):
        model = transformers.LlamaForCausalLM(config)
        noise = {k: v + 0.05 * torch.randn_like(v) * (name != "base") for k, v in start.items()}
        model.load_state_dict(noise)
        with contextlib.redirect_stderr(io.StringIO()):
            model.save_pretrained(folder / name, safe_serialization=True)

    def action(text):
        config.num_hidden_layers = 5 if "[2, 4]" in text else 6 if "passthrough" in text else 4
        recipe = folder / "recipe.yml"
        recipe.write_text(text)
        out = folder / "recipe.pt"
        report = ckpt("merge", "--config", recipe, "-o", out, "--force", "--json")
        merged = torch.load(out)
        wanted = mergekit_plan(text, folder, config)
        assert set(merged) == set(wanted), set(merged) ^ set(wanted)
        assert set(report["merged"]) == set(wanted)
        for key, value in wanted.items():
            apart = distance(merged[key], value)
            assert apart <= 1, f"{key}: {apart} places apart"

    for name, text in RECIPES.items():
        check(f"recipe: {name}", lambda: action(text))

    def refused(text, says):
        recipe = folder / "bad.yml"
        recipe.write_text(text)
        error = ckpt("merge", "--config", recipe, "-o", folder / "no.pt", status=65)
        assert says in error, error
        assert not (folder / "no.pt").exists()

    check("recipe: tokenizers are refused", lambda: refused(RECIPES["task_arithmetic, base apart"] + "tokenizer_source: union\n", "tokenizer"))
    check("recipe: deep nesting is refused", lambda: refused("[" * 100_000, "nests"))


def lora(folder):
    torch.manual_seed(9)
    base = {
        "model.layers.0.q.weight": torch.randn(70, 90), "model.layers.0.conv.weight": torch.randn(12, 5, 3, 3),
        "model.embed.weight": torch.randn(200, 16), "model.layers.0.c_attn.weight": torch.randn(24, 60),
        "model.layers.0.half.weight": torch.randn(33, 41).bfloat16(), "model.norm.weight": torch.randn(7),
    }
    torch.save(base, folder / "lora_base.pt")

    def merged(adapter, *options):
        torch.save(adapter, folder / "adapter" / "adapter_model.bin")
        out = folder / "lora_out.pt"
        ckpt("merge", folder / "lora_base.pt", folder / "adapter" / "adapter_model.bin", "--method", "lora", *options, "-o", out, "--force")
        return torch.load(out)

    (folder / "adapter").mkdir()

    def compare(found, wanted):
        assert list(found) == list(base)
        for key, value in base.items():
            expected = wanted.get(key, value.double()).to(value.dtype)
            apart = distance(found[key], expected)
            assert apart <= 1, f"{key}: {apart} places apart"

    def peft():
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
            compare(merged(adapter, *options), wanted)
        (folder / "adapter" / "adapter_config.json").unlink()

    def kohya():
        a, b = torch.randn(4, 90), torch.randn(70, 4)
        adapter = {
            "lora_unet_layers_0_q.lora_down.weight": a, "lora_unet_layers_0_q.lora_up.weight": b,
            "lora_unet_layers_0_q.alpha": torch.tensor(2.0),
        }
        wanted = {"model.layers.0.q.weight": base["model.layers.0.q.weight"].double() + 0.5 * b.double() @ a.double()}
        compare(merged(adapter), wanted)

    def misfit():
        adapter = {"x.lora_A.weight": torch.randn(2, 3), "model.norm.lora_A.weight": torch.randn(2, 7),
                   "model.norm.lora_B.weight": torch.randn(7, 2), "q.lora_A.weight": torch.randn(2, 3)}
        torch.save(adapter, folder / "adapter" / "bad.bin")
        error = ckpt("merge", folder / "lora_base.pt", folder / "adapter" / "bad.bin", "--method", "lora", "-o", folder / "no.pt", status=65)
        for part in ("x: one of", "model.norm: ", "q: one of"):
            assert part in error, error

    check("lora: peft's keys", peft)
    check("lora: kohya's keys", kohya)
    check("lora: all that does not fit is told", misfit)


def hostile_merges(folder):
    paths, tensors = models(folder, 2, 99, (torch.float32,))
    out = folder / "hostile.pt"

    def nan():
        tensors[1]["a.bias"][3] = float("nan")
        torch.save(tensors[1], folder / "nan.pt")
        options = ["--method", "linear", "--weights", "1", "-o", out]
        error = ckpt("merge", paths[0], folder / "nan.pt", *options, status=65)
        assert "a.bias (1 elements" in error and not out.exists(), error
        ckpt("merge", paths[0], folder / "nan.pt", *options, "--on-nan", "keep")
        assert torch.load(out)["a.bias"].isnan().sum() == 1
        out.unlink()

    def misfit():
        other = dict(tensors[0])
        del other["a.bias"]
        other["a.weight"] = torch.zeros(3)
        other["conv.weight"] = other["conv.weight"].half()
        other["extra"] = torch.zeros(1)
        torch.save(other, folder / "misfit.pt")
        error = ckpt("merge", paths[0], folder / "misfit.pt", "--method", "linear", "--weights", "1", "-o", out, status=65)
        for key in ("a.bias is missing", "a.weight is [3]", "conv.weight is float16", "extra is not in"):
            assert key in error, error
        assert not out.exists()

    def usage():
        for options in (["linear", "--weights", "1,2,3"], ["ties", "--weights", "1,2"], ["slerp", "--weights", "1"],
                        ["linear"], ["none"], ["linear", "--weights", "x"], ["della", "--weights", "1", "--density", "0.1"]):
            ckpt("merge", *paths, "--method", *options, "-o", out, status=64)
            assert not out.exists()

    check("merge: NaN", nan)
    check("merge: all that does not fit is told", misfit)
    check("merge: wrong calls", usage)


GROUPS = [methods, chance, averages, recipes, lora, hostile_merges]
