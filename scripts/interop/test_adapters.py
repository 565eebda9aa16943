"""`ckpt merge --method lora` beside peft's `merge_and_unload` and diffusers' `fuse_lora`."""

import collections
import copy
import dataclasses
import json
import random
import shutil
import subprocess

import harness
import pytest
import torch
from diffusers import StableDiffusionPipeline, UNet2DConditionModel
from diffusers.loaders import StableDiffusionLoraLoaderMixin as Loader
from harness import ckpt
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from safetensors.torch import load_file, save_file


def llama(tied=False, dtype=torch.float32):
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=48, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        tie_word_embeddings=tied, attention_bias=True,
    )
    return LlamaForCausalLM(config).to(dtype)


def gpt2(width=32, labels=32):
    from transformers import GPT2Config, GPT2ForSequenceClassification

    config = GPT2Config(
        vocab_size=48, n_positions=16, n_embd=width, n_layer=2, n_head=4, num_labels=labels, pad_token_id=0,
        bos_token_id=0, eos_token_id=0,
    )
    return GPT2ForSequenceClassification(config)


def adapt(base, config, folder, amount=0.1):
    """Trains nothing, but makes an adapter whose every parameter has moved, and saves it."""
    from peft import get_peft_model

    model = get_peft_model(copy.deepcopy(base), config)
    for _, parameter in model.named_parameters():
        if parameter.requires_grad:
            parameter.data += torch.randn_like(parameter) * amount
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)


def merged_by_peft(base, folder):
    from peft import PeftModel

    model = PeftModel.from_pretrained(copy.deepcopy(base), folder)
    return model.merge_and_unload().state_dict()


def compare(found, wanted, tolerance=1e-6):
    assert set(found) == set(wanted), set(found) ^ set(wanted)
    for key, value in wanted.items():
        other = found[key]
        assert other.dtype == value.dtype and other.shape == value.shape, key
        if torch.equal(other, value):
            continue
        apart = (other.double() - value.double()).abs().max() / value.double().abs().max()
        assert apart <= tolerance, f"{key}: {apart:.2g} apart"


def merge(base, adapter, out, *options):
    ckpt("merge", base, adapter, "--method", "lora", "-o", out, "--force", *options)
    return torch.load(out) if str(out).endswith(".bin") else load_file(out)


def agrees(folder, name, base, config, tolerance=1e-6):
    torch.save(base.state_dict(), folder / "base.bin")
    adapt(base, config, folder / name)
    wanted = merged_by_peft(base, folder / name)
    compare(merge(folder / "base.bin", folder / name, folder / "out.bin"), wanted, tolerance)


# For each field of LoraConfig values that are not its default.
def values():
    from peft.tuners.lora.config import (
        ArrowConfig, BdLoraConfig, CordaConfig, EvaConfig, KasaConfig, LoraGAConfig, LoraRuntimeConfig,
        MontecloraConfig, VeloraConfig,
    )

    every = {
        "task_type": ["CAUSAL_LM"], "peft_type": ["LOHA", "ADALORA"], "auto_mapping": [{"base_model_class": "x"}],
        "peft_version": ["0.1.0"], "base_model_name_or_path": ["somewhere/else"], "revision": ["main"],
        "inference_mode": [True], "r": [3, 16], "lora_alpha": [5, 0.5], "lora_dropout": [0.3],
        "target_modules": [["q_proj"], "all-linear", r".*\.layers\.[0]\..*_proj", ["lm_head", "embed_tokens"]],
        "exclude_modules": [["v_proj"], r".*\.0\.self_attn.*", ["layers.1.mlp.down_proj"]],
        "fan_in_fan_out": [True], "bias": ["all", "lora_only"], "use_rslora": [True], "modules_to_save": [["lm_head"], ["norm"]],
        "init_lora_weights": [False, "gaussian", "eva", "olora", "pissa", "pissa_niter_4", "corda", "loftq", "orthogonal", "mica", "lora_ga"],
        "layers_to_transform": [1, [0]], "layers_pattern": ["layers", ["h"]],
        "rank_pattern": [{"v_proj": 2}, {r"layers\.0\..*q_proj": 6}], "alpha_pattern": [{"v_proj": 2}, {r"1\..*": 3, "q_proj": 9}],
        "megatron_config": [{"hidden_size": 16}], "megatron_core": ["another.core"], "trainable_token_indices": [[1, 3]],
        "loftq_config": [{"loftq_bits": 4, "loftq_iter": 1}], "eva_config": [EvaConfig(rho=1.5)],
        "corda_config": [CordaConfig(corda_method="kpm")], "lora_ga_config": [LoraGAConfig(direction="ArBr")],
        "use_dora": [True], "velora_config": [VeloraConfig(num_groups=4)], "alora_invocation_tokens": [[1, 2]],
        "use_qalora": [True], "qalora_group_size": [8], "monteclora_config": [MontecloraConfig(num_samples=2)],
        "layer_replication": [[[0, 2], [1, 2]]], "runtime_config": [LoraRuntimeConfig(ephemeral_gpu_offload=True)],
        "lora_bias": [True], "target_parameters": [["mlp.down_proj.weight"]],
        "use_bdlora": [BdLoraConfig(target_modules_bd_a=["q_proj"], nblocks=2, match_strict=False)],
        "arrow_config": [ArrowConfig(top_k=1)], "kasa_config": [KasaConfig()], "ensure_weight_tying": [True],
    }
    assert {field.name for field in dataclasses.fields(LoraConfig)} == set(every), "LoraConfig has other fields"
    return every


FIELDS = [(field, value) for field, choices in values().items() for value in choices]
COMMON = {"r": 4, "lora_alpha": 16, "target_modules": ["q_proj", "v_proj", "down_proj"]}


@pytest.fixture(scope="module")
def base():
    torch.manual_seed(3)
    return llama()


@pytest.fixture(scope="module")
def plain(base, shared_folder):
    """An adapter whose configuration says nothing beyond what every one says."""
    adapt(base, LoraConfig(**COMMON), shared_folder / "plain")
    return shared_folder / "plain"


@pytest.mark.parametrize("field, value", FIELDS, ids=[f"{field}-{number}" for number, (field, _) in enumerate(FIELDS)])
def test_field(folder, base, plain, field, value):
    """Every field of peft's own class: the same weights as peft's, or a refusal that names the field."""
    torch.save(base.state_dict(), folder / "base.bin")
    here, out = folder / "adapter", folder / "out.bin"
    more = {field: value}
    if field == "layers_pattern":
        more["layers_to_transform"] = [1]
    if field == "target_parameters":
        more["target_modules"] = []
    wanted, is_saved = None, False
    try:
        config = LoraConfig(**{**COMMON, **more})
        if field in ("peft_type", "peft_version", "auto_mapping"):
            raise ValueError("peft sets it itself")
        adapt(base, config, here)
        is_saved = True
        wanted = merged_by_peft(base, here)
    except Exception:
        # What peft cannot make: the plain adapter under a configuration that says so.
        if not is_saved:
            shutil.rmtree(here, ignore_errors=True)
            shutil.copytree(plain, here)
            said = json.loads((here / "adapter_config.json").read_text())
            said |= more
            said[field] = dataclasses.asdict(value) if dataclasses.is_dataclass(value) else value
            (here / "adapter_config.json").write_text(json.dumps(said))
            decides_nothing = ("peft_version", "auto_mapping", "runtime_config", "megatron_core")
            if field in decides_nothing:
                wanted = merged_by_peft(base, plain)
    arguments = ["merge", folder / "base.bin", here, "--method", "lora", "-o", out]
    done = subprocess.run([harness.CKPT, *map(str, arguments)], capture_output=True, text=True)
    if done.returncode == 0:
        assert wanted is not None, "peft does not merge it, but ckpt does"
        assert "nobody knows" not in done.stderr, done.stderr
        compare(torch.load(out), wanted, 1e-5)
    else:
        assert done.returncode == 65 and not out.exists(), done.stderr
        assert field in done.stderr, done.stderr


PARTS = [
    "q_proj", "v_proj", "self_attn.v_proj", "layers.0.self_attn.q_proj", r"layers\.[01]\.mlp\..*",
    r".*\.down_proj", r"(q|v)_proj", r"\d\.self_attn\.\w_proj", "proj", "model.layers.1", r"layers.1.*q_proj", "x|q_proj",
]


@pytest.mark.parametrize("seed", range(8))
def test_patterns(folder, seed):
    """Patterns by chance over the modules of a model: alpha and rank as peft matches them."""
    torch.manual_seed(4)
    base, pick = llama(), random.Random(seed)
    alphas = {p: pick.randrange(1, 40) for p in pick.sample(PARTS, 4)}
    # peft sorts what it writes, and counts ranks by the file's order when it reads.
    ranks = {p: pick.randrange(1, 8) for p in sorted(pick.sample(PARTS, 3))}
    config = LoraConfig(
        r=5, lora_alpha=7, target_modules=["q_proj", "v_proj", "down_proj"], alpha_pattern=alphas,
        rank_pattern=ranks, use_rslora=pick.random() < 0.5,
    )
    agrees(folder, "patterns", base, config)


SIZE = {"r": 4, "lora_alpha": 16}
# Embeddings, ties, biases, GPT-2's weights.
MODELS = {
    "embeddings and head": (llama, dict(target_modules=["q_proj", "embed_tokens", "lm_head"])),
    "tied embeddings": (lambda: llama(True), dict(target_modules=["q_proj", "embed_tokens"])),
    "tied embeddings and head": (lambda: llama(True), dict(target_modules=["embed_tokens", "lm_head"])),
    "tied adapters": (
        lambda: llama(True), dict(target_modules=["embed_tokens", "lm_head"], ensure_weight_tying=True)),
    "a copy of a tied head": (lambda: llama(True), dict(target_modules=["q_proj"], modules_to_save=["lm_head"])),
    "GPT-2 with a square head": (gpt2, dict(target_modules=["c_attn", "c_proj", "c_fc", "score"])),
    "GPT-2, pissa": (gpt2, dict(target_modules=["c_attn", "c_proj"], init_lora_weights="pissa")),
    "GPT-2, all biases": (gpt2, dict(target_modules=["c_attn"], bias="all", task_type="SEQ_CLS")),
}


@pytest.mark.parametrize("name", MODELS)
def test_model(folder, name):
    torch.manual_seed(5)
    make, options = MODELS[name]
    agrees(folder, "adapter", make(), LoraConfig(**SIZE, **options), 2e-6)


class Convolutions(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two = torch.nn.Conv2d(6, 8, 1), torch.nn.Conv2d(6, 8, 3)
        self.three = torch.nn.Conv1d(6, 8, 5)
        self.square = torch.nn.Linear(6, 6)


def test_convolutions_with_biases_of_the_adapters_own(folder):
    torch.manual_seed(5)
    config = LoraConfig(**SIZE, target_modules=["one", "two", "three", "square"], lora_bias=True)
    agrees(folder, "adapter", Convolutions(), config)


@pytest.mark.parametrize("kind", [True, "pissa", "olora"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_low_precision(folder, dtype, kind):
    torch.manual_seed(5)
    base = llama(dtype=dtype)
    config = LoraConfig(**SIZE, target_modules=["q_proj", "down_proj"], init_lora_weights=kind)
    # peft rounds what is left of the base to the dtype before it adds the product, here it is rounded once.
    step = torch.finfo(dtype).eps
    agrees(folder, "adapter", base, config, 1.01 * step)


def test_large_singular_value_decomposition(folder):
    """Singular values that lie close, as those of layers do, in a matrix that takes several rounds."""
    torch.manual_seed(5)

    class Layer(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.q = torch.nn.Linear(700, 500)

    for kind in ("pissa", "olora"):
        config = LoraConfig(r=8, lora_alpha=12, target_modules=["q"], init_lora_weights=kind)
        agrees(folder, "adapter", Layer(), config, 1e-5)


# Diffusers' files: what `fuse_lora` makes of them.


def unet():
    torch.manual_seed(3)
    return UNet2DConditionModel(
        sample_size=8, block_out_channels=(32, 64), layers_per_block=1, cross_attention_dim=32, attention_head_dim=8,
        norm_num_groups=8, down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    )


def fused(path):
    state_dict, alphas, metadata = Loader.lora_state_dict(path, return_lora_metadata=True)
    model = unet()
    Loader.load_lora_into_unet(state_dict, alphas, model, metadata=metadata)
    model.fuse_lora()
    model.unload_lora()
    return model.state_dict()


Pipeline = collections.namedtuple("Pipeline", "base layers metadata")


@pytest.fixture(scope="module")
def pipeline(shared_folder):
    """A UNet's file, the layers of an adapter for it, and what the adapter says of itself."""
    net = unet()
    net.save_pretrained(shared_folder / "unet")
    config = LoraConfig(
        r=4, lora_alpha=16, target_modules=["to_q", "to_v", "conv1", "proj_in"], alpha_pattern={r"down_blocks.*to_q": 3, "to_q": 5}
    )
    net.add_adapter(config)
    for key, parameter in net.named_parameters():
        if "lora" in key:
            parameter.data = torch.randn_like(parameter) * 0.1
    layers = get_peft_model_state_dict(net)
    base = shared_folder / "unet" / "diffusion_pytorch_model.safetensors"
    return Pipeline(base, layers, net.peft_config["default"].to_dict())


def test_diffusers_metadata(folder, pipeline):
    StableDiffusionPipeline.save_lora_weights(
        folder / "lora", unet_lora_layers=pipeline.layers, unet_lora_adapter_metadata=pipeline.metadata
    )
    path = folder / "lora" / "pytorch_lora_weights.safetensors"
    compare(merge(pipeline.base, path, folder / "out.safetensors"), fused(folder / "lora"))


def test_diffusers_without_alpha(folder, pipeline):
    base, layers, _ = pipeline
    path = folder / "none.safetensors"
    save_file({f"unet.{k}": v.contiguous() for k, v in layers.items()}, path)
    error = ckpt("merge", base, path, "--method", "lora", "-o", folder / "no.safetensors", status=65)
    assert "--scale" in error and not (folder / "no.safetensors").exists(), error
    compare(merge(base, path, folder / "out.safetensors", "--scale", "1"), fused(path))


@pytest.mark.parametrize("alphas", [[3.0], [1.0, 2.0, 0.5]], ids=["one alpha", "an alpha each"])
def test_kohyas_names(folder, pipeline, alphas):
    """kohya's names for the same layers."""
    base, layers, _ = pipeline
    names, own = {}, {}
    for key, value in layers.items():
        if "conv1" in key or "proj_in" in key:
            continue
        module, _, part = key.rpartition(".lora_")
        flat = "lora_unet_" + module.replace(".", "_")
        names[f"{flat}.lora_{'down' if part.startswith('A') else 'up'}.weight"] = value.contiguous()
        if module not in own:
            own[module] = alphas[len(own) % len(alphas)]
            names[f"{flat}.alpha"] = torch.tensor(own[module])
    path = folder / "kohya.safetensors"
    save_file(names, path)
    if len(alphas) == 1:
        wanted = fused(path)
    else:
        # Diffusers loses alphas that differ: it looks for them under the attention processors' names.
        wanted = unet().state_dict()
        for module, alpha in own.items():
            a, b = (layers[f"{module}.lora_{part}.weight"].double() for part in "AB")
            wanted[f"{module}.weight"] = (wanted[f"{module}.weight"].double() + alpha / 4 * b @ a).float()
    compare(merge(base, path, folder / "out.safetensors"), wanted)
