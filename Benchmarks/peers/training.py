"""One side of the training benchmark: does a step whenever a line comes in, and says how long it took.

    python training.py CASE THREADS
    python training.py first-forward FILE     loads a ResNet-18 and does one forward pass
"""

import resource
import sys
import time

# Libraries look for a module called "pytorch", and must not find the other peer.
sys.path.pop(0)

import torch
import torch.nn.functional as F
from torch import nn

if sys.argv[1] == "first-forward":
    import torchvision

    model = torchvision.models.resnet18()
    model.load_state_dict(torch.load(sys.argv[2]))
    with torch.no_grad():
        print(model.eval()(torch.full((1, 3, 224, 224), 0.1)).argmax().item())
    sys.exit()
case, threads = sys.argv[1], int(sys.argv[2])
torch.set_num_threads(threads)
torch.manual_seed(0)


def trainer(model, x, y, parameters=None):
    optimizer = torch.optim.SGD(parameters or model.parameters(), lr=0.001, momentum=0.9)

    def step():
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()

    return step


def forward(model, x):
    model.eval()

    def step():
        with torch.no_grad():
            model(x)

    return step


def resnet(name, batch, train=True, frozen=False):
    import torchvision

    model = getattr(torchvision.models, name)()
    x, y = torch.randn(batch, 3, 224, 224), torch.arange(batch)
    if not train:
        return forward(model, x)
    if frozen:
        for key, value in model.named_parameters():
            value.requires_grad = key.startswith("fc.")
        return trainer(model, x, y, list(model.fc.parameters()))
    return trainer(model, x, y)


def encoder():
    layer = nn.TransformerEncoderLayer(768, 12, 3072, dropout=0.0, activation="gelu", batch_first=True)
    model = nn.Sequential(nn.TransformerEncoder(layer, 4, enable_nested_tensor=False), nn.Linear(768, 10))
    x, y = torch.randn(2, 128, 768), torch.arange(256) % 10
    optimizer = torch.optim.SGD(model.parameters(), lr=0.001, momentum=0.9)

    def step():
        optimizer.zero_grad()
        F.cross_entropy(model(x).reshape(256, 10), y).backward()
        optimizer.step()

    return step


def vit():
    import torchvision

    return trainer(torchvision.models.vit_b_16(), torch.randn(4, 3, 224, 224), torch.arange(4))


def mlp():
    model = nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 256), nn.ReLU(), nn.Linear(256, 10))
    return trainer(model, torch.randn(128, 784), torch.arange(128) % 10)


def conv(*shape):
    """A convolution alone: inputs, outputs, size, kernel, stride."""
    inputs, outputs, size, kernel, stride = shape
    model = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    x = torch.randn(8, inputs, size, size, requires_grad=True)
    g = torch.randn(model(x).shape)
    return lambda: model(x).backward(g)


CASES = {
    "resnet18": lambda: resnet("resnet18", 8),
    "resnet18-32": lambda: resnet("resnet18", 32),
    "resnet18-head": lambda: resnet("resnet18", 8, frozen=True),
    "resnet50-forward-1": lambda: resnet("resnet50", 1, train=False),
    "resnet50-forward-8": lambda: resnet("resnet50", 8, train=False),
    "vit_b_16": vit,
    "mlp": mlp,
    "encoder": encoder,
}
step = conv(*map(int, case.split("-")[1:])) if case.startswith("conv-") else CASES[case]()
step()
print("ready", flush=True)
for _ in sys.stdin:
    start = time.perf_counter()
    step()
    print(time.perf_counter() - start, flush=True)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, flush=True)
