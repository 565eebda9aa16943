"""Random pickles, and what CPython's three unpicklers import for them: the C module from bytes and from a file, and
`pickle.py`. Nothing is run: every class that a pickle names is a stand-in that accepts whatever is done with it.

    python scripts/interop/random_pickles.py SEED START COUNT     prints what each of them imports, as JSON
"""

import copyreg
import importlib.abc
import importlib.machinery
import io
import json
import pickle
import random
import re
import resource
import struct
import sys
import types

EXTENSIONS = range(1, 6)


def u32(value):
    return struct.pack("<I", value)


class Program:
    """Opcodes chosen so that most of them find what they need; the stack is counted, not followed."""

    def __init__(self, source, number):
        self.random = source
        self.prefix = f"c{number:06x}q"
        self.depth = [0]  # objects above each mark
        self.memo = []

    def word(self):
        return self.random.choice(["a", "b", "C", "D", "e.f", "G.h.i"])

    def module(self):
        return self.prefix + self.random.choice(["", "", "x", ".y"])

    def text(self, value=None):
        value = self.random.choice([self.module, self.word, lambda: "täxt", lambda: ""])() if value is None else value
        data = value.encode()
        kind = self.random.randrange(6)
        if kind == 0:
            return b"X" + u32(len(data)) + data
        if kind == 1:
            return b"\x8d" + struct.pack("<Q", len(data)) + data
        if kind == 2:
            return b"V" + value.encode("raw-unicode-escape") + b"\n"
        if kind == 3 and value.isascii():
            return self.random.choice(
                [b"S'" + data + b"'\n", b"U" + bytes([len(data)]) + data, b"T" + u32(len(data)) + data]
            )
        return b"\x8c" + bytes([len(data)]) + data

    def number(self):
        r = self.random
        return r.choice(
            [
                lambda: b"K" + r.randbytes(1),
                lambda: b"M" + r.randbytes(2),
                lambda: b"J" + r.randbytes(4),
                lambda: b"G" + r.randbytes(8),
                lambda: b"I%d\n" % r.randrange(-300, 300),
                lambda: b"L%dL\n" % r.randrange(1 << 70),
                lambda: b"F" + repr(r.uniform(-9, 9)).encode() + b"\n",
                lambda: b"\x8a" + (lambda n: bytes([n]) + r.randbytes(n))(r.randrange(12)),
                lambda: b"\x8b" + (lambda n: u32(n) + r.randbytes(n))(r.randrange(12)),
                lambda: r.choice([b"N", b"\x88", b"\x89", b"I00\n", b"I01\n"]),
                lambda: (
                    r.choice(
                        [
                            b"I0x10\n",
                            b"I010\n",
                            b"I+1\n",
                            b"L 5 \n",
                            b"I1_0\n",
                            b"F1_0.5\n",
                            b"F1e999\n",
                            b"Finf\n",
                            b"I5L\n",
                            b"I\n",
                            b"Fx\n",
                            b"L-0\n",
                            b"I-0\n",
                            b"I1\x002\n",
                            b"F.5\n",
                            b"F5.\n",
                            b"F1e5\n",
                            b"I0o7\n",
                        ]
                    )
                    if r.random() < 0.15
                    else b"K\x01"
                ),
            ]
        )()

    def blob(self):
        r = self.random
        data = r.randbytes(r.randrange(20))
        return r.choice(
            [
                b"C" + bytes([len(data)]) + data,
                b"B" + u32(len(data)) + data,
                b"\x8e" + struct.pack("<Q", len(data)) + data,
                b"\x96" + struct.pack("<Q", len(data)) + data,
            ]
        )

    def name(self):
        r = self.random
        kind = r.randrange(8)
        if kind < 3:
            return f"c{self.module()}\n{self.word()}\n".encode()
        if kind < 7:
            return self.text(self.module()) + self.text(self.word()) + b"\x93"
        return bytes([0x82, r.choice(EXTENSIONS)])

    def step(self):
        """One more opcode, or a few."""
        r, top = self.random, self.depth[-1]
        roll = r.random()
        if roll < 0.30:
            self.depth[-1] += 1
            return r.choices(
                [self.text, self.number, self.blob, self.name, lambda: r.choice([b"]", b"}", b")", b"\x8f"])],
                [2, 2, 1, 5, 3],
            )[0]()
        if roll < 0.38 and len(self.depth) < 8:
            self.depth.append(0)
            return b"("
        if roll < 0.50 and len(self.depth) > 1:
            return self.close()
        if roll < 0.60 and top:
            kind, index = r.randrange(5), r.choice([len(self.memo), r.randrange(40), r.randrange(300)])
            if kind == 0:
                self.memo.append(None)
                return b"\x94"
            self.memo.append(index)
            return [b"q" + bytes([index % 256]), b"r" + u32(index), b"p%d\n" % index, b"\x94"][kind - 1]
        if roll < 0.68 and self.memo:
            index = r.choice(self.memo)
            if index is None or r.random() < 0.3:
                index = r.randrange(len(self.memo))
            self.depth[-1] += 1
            return r.choice([b"h" + bytes([index % 256]), b"j" + u32(index), b"g%d\n" % index])
        if roll < 0.72 and top:
            if r.random() < 0.5:
                self.depth[-1] -= 1
                return b"0"
            self.depth[-1] += 1
            return b"2"
        if roll < 0.80:
            # A call of a name.
            self.depth[-1] += 1
            arguments = r.choice([b")", b"K\x01\x85", b"NN\x86", self.name() + b"N\x88\x87"])
            return self.name() + arguments + r.choice([b"R", b"\x81", b"}\x92"])
        if roll < 0.84:
            self.depth[-1] += 1
            return b"(" + r.choice([b"", b"N"]) + f"i{self.module()}\n{r.choice('abc')}\n".encode()
        if roll < 0.87:
            self.depth[-1] += 1
            return b"(" + self.name() + r.choice([b"", b"N", b"NK\x01"]) + b"o"
        if roll < 0.90:
            self.depth[-1] += 1
            return r.choice([b"P1\n", b"K\x01Q"])
        if roll < 0.94 and top:
            return (
                self.number() + r.choice([b"a", b"b", b"Ns"])
                if r.random() < 0.3
                else b"}b" if r.random() < 0.3 else b""
            )
        if roll < 0.96 and top >= 1:
            return r.choice([b"\x85"] if top < 2 else [b"\x85", b"\x86K\x00"] if top < 3 else [b"\x85", b"\x87NN"])
        if roll < 0.97:
            return bytes([0x80, r.randrange(6)])
        if roll < 0.975:
            return bytes([r.randrange(256)])
        return b""

    def close(self):
        """Ends the last mark."""
        r = self.random
        count = self.depth.pop()
        outer = self.depth[-1]
        if outer and r.random() < 0.3:
            return r.choice([b"e", b"u" if count % 2 == 0 else b"e", b"\x90", b"1"])
        self.depth[-1] += 1
        return r.choice([b"t", b"l", b"d" if count % 2 == 0 else b"t", b"\x91"])

    def make(self):
        r = self.random
        version = r.randrange(6)
        parts = [self.step() for _ in range(r.randrange(2, 40))]
        while len(self.depth) > 1:
            parts.append(self.close())
        if not self.depth[-1]:
            parts.append(b"N")
        body = b"".join(parts) + b"."
        if version >= 4 and r.random() < 0.8:
            length = len(body)
            if r.random() < 0.1:
                length = max(0, length + r.choice([-1, -2, -5, -20, 1, 9]))
            if r.random() < 0.3:
                cut = r.choice(range(len(parts)))
                head = b"".join(parts[:cut])
                body = (
                    b"\x95"
                    + struct.pack("<Q", len(head))
                    + head
                    + b"\x95"
                    + struct.pack("<Q", len(body) - len(head))
                    + body[len(head) :]
                )
            else:
                body = b"\x95" + struct.pack("<Q", length) + body
        data = (bytes([0x80, version]) if version >= 2 else b"") + body
        if r.random() < 0.2:
            data = bytearray(data)
            for _ in range(r.randrange(1, 3)):
                data[r.randrange(len(data))] = r.choice(
                    [r.randrange(256), r.choice(b"().0123e]}abctRQ\x93\x94\x95\x81q")]
                )
            data = bytes(data)
        if r.random() < 0.05:
            data = data[: r.randrange(len(data))]
        return data


def make(seed, number):
    return Program(random.Random(f"{seed} {number}"), number).make()


# ---- What the unpicklers import.


class Meta(type):
    def __getattr__(cls, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return StandIn


class StandIn(metaclass=Meta):
    def __new__(cls, *arguments, **keywords):
        return object.__new__(cls)

    def __init__(self, *arguments, **keywords):
        pass

    def __call__(self, *arguments, **keywords):
        return StandIn()

    def __setstate__(self, state):
        pass

    def __setitem__(self, key, value):
        pass

    def append(self, item):
        pass

    def extend(self, items):
        pass

    def add(self, item):
        pass


class Overridden:
    def find_class(self, module, name):
        self.found.append((module, name))
        return StandIn

    def persistent_load(self, identifier):
        return StandIn()


class FromFile(Overridden, pickle.Unpickler):
    pass


class InPython(Overridden, pickle._Unpickler):
    pass


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the modules of the random names, and no others."""

    def find_spec(self, name, path=None, target=None):
        if OURS.match(name):
            return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec):
        return Module(spec.name)

    def exec_module(self, module):
        pass


class Module(types.ModuleType):
    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return StandIn


OURS = re.compile(r"c[0-9a-f]{6}q[\w.]*$")
recording = None


def audit(event, arguments):
    if event == "pickle.find_class" and recording is not None:
        recording.append(tuple(arguments))
        if not OURS.match(arguments[0]) and arguments[0] != "ext":
            raise pickle.UnpicklingError("not one of the random names")


def prepare():
    """Makes this process able to unpickle random pickles: no more than 3 GB, and only stand-ins are imported."""
    resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
    sys.meta_path.insert(0, Finder())
    sys.addaudithook(audit)
    module = Module("ext")
    sys.modules["ext"] = module
    for code in EXTENSIONS:
        copyreg.add_extension("ext", f"e{code}", code)


def read(data):
    """The names that each of the three imports, whether it came to the end, and where it ended."""
    global recording
    results = {}
    for kind in ("bytes", "file", "python"):
        copyreg._extension_cache.clear()
        pickle._extension_cache.clear()
        found, end = [], None
        recording = None
        try:
            if kind == "bytes":
                recording = found
                pickle.loads(data, encoding="latin1")
            else:
                source = io.BytesIO(data)
                reader = (FromFile if kind == "file" else InPython)(source, encoding="latin1")
                reader.found = found
                reader.load()
                end = source.tell()
            done = True
        except Exception:
            done = False
        finally:
            recording = None
        results[kind] = (found, done, end)
    for name in [name for name in sys.modules if OURS.match(name)]:
        del sys.modules[name]
    return results


if __name__ == "__main__":
    # In a process of its own, since what it prepares is for the whole process: SEED START COUNT
    seed, start, count = map(int, sys.argv[1:])
    prepare()
    for number in range(start, start + count):
        print(json.dumps(read(make(seed, number))))
