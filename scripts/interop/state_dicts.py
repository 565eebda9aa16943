"""Checks what `ckpt` does with state dicts beside the same lines of Python: regular expressions, check, suggestions,
recipes, --resize, optimizers that follow; on ResNet-50, ViT-B/16, GPT-2 and BERT with random weights."""

import collections
import random
import re
import warnings

import timm
import torch
import torchvision
import transformers
from timm.layers import resample_abs_pos_embed
from timm.models._manipulate import adapt_input_conv
from timm.optim import param_groups_weight_decay
from torch import nn

import recipes
from compare import assert_equal
from harness import check, ckpt

transformers.logging.set_verbosity_error()


def tiny(state_dict):
    """The same keys, shapes and types, with one element of storage each."""
    return {key: torch.zeros((), dtype=value.dtype).expand(value.shape) for key, value in state_dict.items()}


def expressions(folder):
    """Regular expressions find and replace what Python's `re` does."""
    pick = random.Random(5)
    parts = ["layer", "conv", "bn", "weight", "bias", "attn", "q", "k1", "block_2", "é", "0", "11", "a-b"]
    keys = sorted({".".join(pick.choice(parts) for _ in range(pick.randrange(1, 6))) for _ in range(300)})
    source = folder / "keys.pt"
    torch.save({key: torch.zeros(1) for key in keys}, source)

    def atom(depth):
        kind = pick.randrange(11 if depth < 3 else 7)
        if kind < 3:
            return re.escape(pick.choice(parts))
        if kind == 3:
            return pick.choice([".", r"\d", r"\w", r"\.", r"\D", r"\W", r"\b", r"\B", "^", "$"])
        if kind == 4:
            return pick.choice(["[a-k]", "[^.]", r"[\d_]", r"[^\w]", "[.é-]", r"[a-c\d]"])
        if kind < 7:
            return pick.choice("abelqy01.")
        inner = "|".join(sequence(depth + 1) for _ in range(pick.randrange(1, 3)))
        return pick.choice(["(%s)", "(?:%s)"]) % inner

    def sequence(depth=0):
        made = ""
        for _ in range(pick.randrange(1, 4)):
            one = atom(depth)
            repeat = pick.choice(["", "", "", "+", "*", "?", "+?", "{1,2}", "{2}", "*?"])
            made += one if one in ("^", "$", r"\b", r"\B") else one + repeat
        return made

    for number in range(120):
        pattern = sequence()
        compiled = re.compile(pattern)
        # Groups that match nothing, repeated: engines differ, and nobody means it.
        if re.search(r"\)[*+{]", pattern):
            continue

        def found():
            wanted = [key for key in keys if compiled.search(key)]
            listed = ckpt("ls", source, "--include", "re:" + pattern, "--allow-empty", "--json")
            assert [t["key"] for t in listed["tensors"]] == wanted, pattern

        check(f"re: {pattern}", found)
        groups = "".join(rf"<\{n + 1}>" for n in range(min(compiled.groups, 3)))
        new = [compiled.sub(lambda m, g=groups: m.expand(g or "X"), key) for key in keys]
        if len(set(new)) < len(new) or "" in new:
            continue

        def replaced():
            template = re.sub(r"\\(\d)", r"$\1", groups) or "X"
            done = ckpt("rename-keys", source, "--regex", f"{pattern}=>{template}", "--dry-run", "--json",
                        "-o", folder / "out.pt")  # fmt: skip
            assert {r["from"]: r["to"] for r in done["renamed"]} == {k: n for k, n in zip(keys, new) if k != n}

        check(f"re.sub: {pattern}", replaced)


def models():
    yield "ResNet-50", lambda: torchvision.models.resnet50(weights=None)
    yield "ViT-B/16", lambda: torchvision.models.vit_b_16(weights=None)
    yield "GPT-2", lambda: transformers.GPT2LMHeadModel(transformers.GPT2Config(n_layer=2, vocab_size=2000, n_embd=96))
    yield "BERT", lambda: transformers.BertForMaskedLM(
        transformers.BertConfig(num_hidden_layers=2, vocab_size=2000, hidden_size=96, intermediate_size=200)
    )


def renamed(state_dict, rename):
    return collections.OrderedDict((rename(key), value) for key, value in state_dict.items())


def said(model, state_dict):
    """What `load_state_dict` says: missing, unexpected, keys of errors, whether strict loading goes through."""
    missing, unexpected = [], []

    def listen(module, keys):
        missing[:], unexpected[:] = keys.missing_keys, keys.unexpected_keys

    handle = model.register_load_state_dict_post_hook(listen)
    errors = []
    try:
        nn.Module.load_state_dict(model, state_dict, strict=False)
    except RuntimeError as error:
        errors = re.findall(r"size mismatch for (\S+):", str(error))
    handle.remove()
    return missing, unexpected, errors


def loading(folder):
    """`check` says what `load_state_dict` says, and what it suggests makes the file load."""
    for name, make in models():
        model = make()
        stem = re.sub(r"\W", "", name)
        reference = folder / f"{stem}.pt"
        # Ties and all: the state dict of a model on the real device, but small files: shapes are what counts.
        own = model.state_dict()
        whole = name in ("GPT-2", "BERT")
        torch.save(own if whole else tiny(own), reference)
        last = list(own)[-1]
        variants = {
            "same": (dict(own), True),
            "module.": (renamed(own, lambda k: "module." + k), True),
            "encoder": (renamed(own, lambda k: "module.encoder_q." + k)
                        | renamed(own, lambda k: "module.encoder_k." + k), True),
            "parts": (renamed(own, lambda k: re.sub(r"(^|\.)weight$", r"\1kernel", k)), True),
            "less": ({k: v for k, v in own.items() if k != last}, False),
            "more": (dict(own) | {"extra.weight": torch.zeros(3)}, True),
            "wide": (dict(own) | {last: torch.zeros(7, 7, 7)}, False),
            "half": (dict(own) | {last: own[last].half()}, True),
        }  # fmt: skip
        for variant, (found, is_mendable) in variants.items():
            source = folder / f"{stem}_found.pt"
            torch.save(found if whole else tiny(found), source)

            def action():
                missing, unexpected, errors = said(model, found)
                loads = not (missing or unexpected or errors)
                command = ["check", source, "--against", reference]
                told = ckpt(*command, "--json", status=0 if loads else 1, output=True)
                told = told if isinstance(told, dict) else __import__("json").loads(told)
                assert told["loadable"] == loads
                assert sorted(told["missing"]) == sorted(missing), told["missing"][:3]
                assert sorted(told["unexpected"]) == sorted(unexpected), told["unexpected"][:3]
                assert [m["key"] for m in told["mismatched"]] == errors
                assert len(told["loaded"]) == told["matched"]
                if loads or not is_mendable:
                    return
                # Where two places fit equally, both are shown and none is chosen.
                places = told["places"] if variant == "encoder" else [told["suggestion"]]
                assert len(places) == (2 if variant == "encoder" else 1) and ("suggestion" in told) == (variant != "encoder")
                for suggested in places:
                    assert suggested and suggested["loadable"], suggested
                    ckpt(*command, *suggested["arguments"])
                    mended = folder / "mended.pt"
                    words = suggested["command"].split()
                    assert words[0] == "ckpt"
                    ckpt(words[1], source, *suggested["arguments"], "-o", mended, "--force")
                    ckpt("check", mended, "--against", reference)
                    loaded = torch.load(mended, weights_only=True)
                    assert said(model, loaded) == ([], [], [])

            check(f"check {name} {variant}", action)


class Real(recipes.Small):
    """The makers of models of real size."""

    def resnet(self, **options):
        return torchvision.models.resnet50(weights=None, **options)

    def torchvision_vit(self):
        return torchvision.models.vit_b_16(weights=None)

    def timm_vit(self, **options):
        return timm.create_model("vit_base_patch16_224", **options)

    def swin(self):
        return timm.create_model("swin_tiny_patch4_window7_224")

    def hf_resnet_pair(self):
        return transformers.ResNetForImageClassification(transformers.ResNetConfig(num_labels=1000)), self.resnet()

    def bert_config(self):
        return transformers.BertConfig()

    def gpt2_config(self):
        return transformers.GPT2Config()

    def llama_config(self):
        return transformers.LlamaConfig(num_hidden_layers=4)


def named_rules(folder):
    """Recipes make of a checkpoint's keys those of the real library, with models of real size and their shapes."""
    source, written = folder / "found.pt", folder / "renamed.pt"
    with torch.device("meta"):
        made = list(recipes.cases(Real()))
    for number, (name, found, wanted) in enumerate(made):

        def action():
            torch.save({k: torch.zeros(()).expand(v.shape) for k, v in found.items()}, source)
            ckpt("rename-keys", source, "--recipe", name, "-o", written, "--force")
            loaded = torch.load(written, weights_only=True)
            assert set(loaded) == set(wanted), sorted(set(loaded) ^ set(wanted))[:4]
            for key, value in wanted.items():
                assert loaded[key].shape == value.shape, key

        check(f"recipe {name} ({number})", action)


def resizing(folder):
    """--resize gives what timm, transformers and PyTorch make of the same values."""

    def vision():
        old = timm.create_model("vit_tiny_patch16_224", depth=2, num_classes=10)
        new = timm.create_model("vit_tiny_patch16_224", depth=2, num_classes=7, img_size=96, in_chans=5)
        source, fresh, merged = folder / "old.pt", folder / "new.pt", folder / "merged.pt"
        torch.save(old.state_dict(), source)
        torch.save(new.state_dict(), fresh)
        ckpt("merge", fresh, source, "-o", merged, "--resize", "pos_embed=bicubic", "--resize",
             "patch_embed.proj.weight=channels", "--resize", "under:head=reinit", "--seed", 3)  # fmt: skip
        found = torch.load(merged, weights_only=True)
        new.load_state_dict(found, strict=True)
        weights = old.state_dict()
        expected = dict(weights)
        expected["pos_embed"] = resample_abs_pos_embed(weights["pos_embed"], [6, 6])
        expected["patch_embed.proj.weight"] = adapt_input_conv(5, weights["patch_embed.proj.weight"])
        torch.manual_seed(3)
        head = nn.Linear(192, 7)
        expected["head.weight"], expected["head.bias"] = head.weight.detach(), head.bias.detach()
        for key, value in expected.items():
            if key == "pos_embed":
                assert torch.allclose(found[key], value, atol=2e-6, rtol=0), (found[key] - value).abs().max()
            else:
                assert torch.equal(found[key], value), key

    def language():
        config = transformers.GPT2Config(n_layer=1, vocab_size=120, n_embd=48, n_head=2)
        old, bigger = transformers.GPT2LMHeadModel(config), transformers.GPT2LMHeadModel(config)
        bigger.resize_token_embeddings(128, mean_resizing=False)
        source, fresh, merged = folder / "old.pt", folder / "new.pt", folder / "merged.pt"
        torch.save(old.state_dict(), source)
        torch.save(bigger.state_dict(), fresh)
        ckpt("merge", fresh, source, "-o", merged, "--force", "--resize", "glob:{transformer.wte,lm_head}.weight=pad")
        found = torch.load(merged, weights_only=True)
        rest = bigger.state_dict()["transformer.wte.weight"][120:]
        wanted = torch.cat([old.state_dict()["transformer.wte.weight"], rest])
        assert torch.equal(found["transformer.wte.weight"], wanted)
        bigger.load_state_dict(found, strict=True)
        assert torch.equal(bigger.lm_head.weight, wanted)

    check("--resize ViT", vision)
    check("--resize GPT-2", language)


def optimizers(folder):
    """An optimizer's state that follows its model fits the smaller model's optimizer, value for value."""

    def trained(model, optimizer):
        for parameter in model.parameters():
            parameter.grad = torch.randn_like(parameter)
        optimizer.step()
        return {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 1}

    def vector_groups(model):
        decay = [v for k, v in model.named_parameters() if v.ndim > 1 and not k.endswith("bias")]
        rest = [v for k, v in model.named_parameters() if not (v.ndim > 1 and not k.endswith("bias"))]
        return [{"params": decay, "weight_decay": 0.1}, {"params": rest, "weight_decay": 0.0}]

    makers = {
        "ResNet-50 SGD": (
            lambda: torchvision.models.resnet50(weights=None), "fc", lambda m: setattr(m, "fc", nn.Identity()),
            lambda m: torch.optim.SGD(m.parameters(), lr=0.1, momentum=0.9)),
        "ResNet-18 names": (
            lambda: torchvision.models.resnet18(weights=None), "fc", lambda m: setattr(m, "fc", nn.Identity()),
            lambda m: torch.optim.Adam(m.named_parameters(), lr=0.1)),
        "ViT timm's groups": (
            lambda: timm.create_model("vit_tiny_patch16_224", depth=2), "head", lambda m: m.reset_classifier(0),
            lambda m: torch.optim.AdamW(param_groups_weight_decay(m, 0.05, m.no_weight_decay()), lr=0.1)),
        "BERT groups": (
            lambda: transformers.BertForMaskedLM(transformers.BertConfig(
                num_hidden_layers=1, vocab_size=60, hidden_size=24, num_attention_heads=2, intermediate_size=30)),
            None, None, lambda m: torch.optim.AdamW(vector_groups(m), lr=0.1)),
    }  # fmt: skip
    for name, (make, part, cut, optimize) in makers.items():

        def action():
            model = make()
            optimizer = optimize(model)
            source, written = folder / "trained.pt", folder / "cut.pt"
            torch.save(trained(model, optimizer), source)
            names = {id(parameter): key for key, parameter in model.named_parameters()}
            state = {names[id(p)]: s for p, s in optimizer.state.items()}
            listed = ckpt("ls", source, "--optimizer", "--json")
            told = [p["name"] for p in listed["optimizers"][0]["parameters"]]
            order = [names[id(p)] for group in optimizer.param_groups for p in group["params"]]
            assert told == order, [pair for pair in zip(told, order) if pair[0] != pair[1]][:3]
            if part is None:
                return
            ckpt("filter", source, "--exclude", f"under:{part}", "--optimizer", "params=auto", "-o", written, "--force")
            found = torch.load(written, weights_only=True)
            cut(model)
            model.load_state_dict(found["model"], strict=True)
            smaller = optimize(model)
            smaller.load_state_dict(found["optimizer"])
            names = {id(parameter): key for key, parameter in model.named_parameters()}
            assert len(smaller.state) == len(names)
            for parameter, kept in smaller.state.items():
                assert_equal({k: v for k, v in state[names[id(parameter)]].items()}, dict(kept))

        check(f"optimizer follows: {name}", action)


GROUPS = [expressions, loading, named_rules, resizing, optimizers]
