"""Models in their true sizes: what `ckpt verify --dump` computes, beside torchvision and transformers.

Images are 64 pixels wide (224 for the vision transformer, whose positions say so), texts 16 tokens long.
"""

import models as zoo  # fixtures/models.py
import pytest
import torchvision
import transformers
from model_figures import prove


def llama():
    """45 million parameters, two queries to a key."""
    return zoo.tiny_llama(
        vocab_size=8000, hidden_size=512, intermediate_size=1376, num_hidden_layers=12, num_attention_heads=8,
        num_key_value_heads=4)


# By what `--model` is given: the model, and what it is run on.
MODELS = {
    "resnet18": (torchvision.models.resnet18, lambda: zoo.images(4, 64, 1000)),
    "resnet50": (torchvision.models.resnet50, lambda: zoo.images(4, 64, 1000)),
    "mobilenet_v2": (torchvision.models.mobilenet_v2, lambda: zoo.images(4, 64, 1000)),
    "vit_b_16": (torchvision.models.vit_b_16, lambda: zoo.images(1, 224, 1000)),
    "gpt2": (lambda: transformers.GPT2LMHeadModel(zoo.gpt2_config()), lambda: zoo.tokens(2, 16, 50257)),
    "bert": (
        lambda: transformers.BertForSequenceClassification(zoo.bert_config(num_labels=5)),
        lambda: zoo.tokens(2, 16, 30522, 5)),
    "llama:heads=8": (llama, lambda: zoo.tokens(2, 16, 8000)),
}


# In which rounding grows within three steps.
UNSTEADY = ("resnet18", "resnet50", "mobilenet_v2")


@pytest.mark.parametrize("name", MODELS)
def test_model(folder, name):
    make, batch = MODELS[name]
    prove(folder, name, make, batch, name in UNSTEADY)
