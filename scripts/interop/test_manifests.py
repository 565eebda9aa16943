"""Manifests of hash --manifest beside model-signing, which signs and verifies them; pointers of Git LFS."""

import base64
import hashlib
import json
import os
import subprocess

import pytest
import safetensors.torch
import torch
import torch.distributed.checkpoint as dcp
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from google.protobuf import json_format
from harness import ckpt
from in_toto_attestation.v1 import statement_pb2
from model_signing import hashing, signing, verifying
from model_signing._signing import sign_ec_key
from model_signing._signing import signing as payloads


@pytest.fixture
def model(folder):
    """A folder as people publish them, with what is left out."""
    path = folder / "model"
    (path / "sub" / "deep").mkdir(parents=True)
    (path / ".git").mkdir()
    (path / ".git" / "HEAD").write_text("ref")
    (path / ".gitattributes").write_text("* lfs")
    (path / "config.json").write_text('{"model_type": "x"}')
    (path / "empty").write_bytes(b"")
    (path / "é ü.txt").write_text("names")
    (path / "sub-file").write_text("sorts behind the folder sub")
    (path / "sub" / "deep" / "notes").write_text("text")
    weights = {"a.weight": torch.rand(30, 40), "a.bias": torch.rand(30), "b": torch.arange(9)}
    safetensors.torch.save_file(weights, path / "model.safetensors")
    torch.save({"model": weights, "epoch": 3, "optimizer": [torch.rand(5)]}, path / "sub" / "training.pt")
    dcp.save({"model": weights, "step": 1}, checkpoint_id=path / "saved", no_dist=True)
    return path


@pytest.fixture
def keys(folder):
    private = ec.generate_private_key(ec.SECP256R1())
    (folder / "key").write_bytes(private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ))
    (folder / "key.pub").write_bytes(private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    ))
    return folder / "key", folder / "key.pub"


def compared(*arguments, status=0):
    return json.loads(ckpt("verify", *arguments, "--json", status=status, output=True)) if status else ckpt(
        "verify", *arguments, "--json")


def test_statement_is_that_of_model_signing(model, folder):
    """Files, order, digests and what is left out are the package's own; it reads the statement as a manifest."""
    ours = json.loads(ckpt("hash", "--manifest", model))
    theirs = hashing.Config().hash(model)
    expected = json_format.MessageToDict(payloads.Payload(theirs).statement.pb)
    assert ours["_type"] == expected["_type"] and ours["predicateType"] == expected["predicateType"]
    assert ours["subject"] == expected["subject"]
    assert ours["predicate"]["resources"] == expected["predicate"]["resources"]
    parameters = ours["predicate"]["serialization"]
    wanted = expected["predicate"]["serialization"]
    assert sorted(parameters.pop("ignore_paths")) == sorted(wanted.pop("ignore_paths"))
    assert parameters == wanted
    assert payloads.dsse_payload_to_manifest(ours) == theirs
    # Some files: their names are relative to the folder that they share.
    some = json.loads(ckpt("hash", "--manifest", model / "config.json", model / "sub" / "training.pt"))
    listed = [resource["name"] for resource in some["predicate"]["resources"]]
    assert listed == ["config.json", "sub/training.pt"] and some["predicate"]["covers"] == "files"
    picked = hashing.Config().hash(model, files_to_hash=[model / name for name in listed])
    assert payloads.dsse_payload_to_manifest(some) == picked


def test_tensors_digests_are_those_of_hash(model):
    found = json.loads(ckpt("hash", "--manifest", model))["predicate"]["checkpoints"]
    tensors = {checkpoint["name"]: checkpoint["tensors"] for checkpoint in found}
    assert set(tensors) == {"model.safetensors", "sub/training.pt", "saved"}
    for name, at in [("model.safetensors", ""), ("sub/training.pt", "model/"), ("saved", "model/")]:
        listed = ckpt("hash", model / name, "--each", "--json")["tensors"]
        assert {f"{at}{entry['key']}": entry["sha256"] for entry in listed}.items() <= tensors[name].items(), name
    assert set(tensors["sub/training.pt"]) == {"model/a.weight", "model/a.bias", "model/b", "optimizer/0"}


def test_the_package_signs_and_verifies_ours(model, folder, keys):
    """The package has no call for a statement that was written elsewhere; its signer takes one as a payload."""
    written, signature = folder / "manifest.json", folder / "model.sig"
    ckpt("hash", "--manifest", model, "-o", written)

    class Written:
        class statement:
            pb = json_format.Parse(written.read_text(), statement_pb2.Statement())

    sign_ec_key.Signer(keys[0]).sign(Written).write(signature)
    verifier = verifying.Config().use_elliptic_key_verifier(public_key=keys[1])
    verifier.verify(model, signature)
    # Ours reads what they signed, with the digests of the tensors.
    assert compared("--manifest", signature, model)["signature_not_verified"]
    (model / "config.json").write_text("{}")
    with pytest.raises(ValueError, match="config.json"):
        verifying.Config().use_elliptic_key_verifier(public_key=keys[1]).verify(model, signature)
    assert [change["file"] for change in compared("--manifest", signature, model, status=1)["changed"]] == ["config.json"]


@pytest.mark.parametrize("shards", [False, True])
def test_their_signatures_are_compared(model, keys, shards):
    signature = model / "model.sig"
    config = hashing.Config()
    if shards:
        config.use_shard_serialization(shard_size=1000)
    config.set_ignored_paths(paths=[signature.name])
    signing.Config().use_elliptic_key_signer(private_key=keys[0]).set_hashing_config(config).sign(model, signature)
    # The signature lies in the folder that it describes.
    found = compared("--manifest", signature)
    # An empty file has no shards, so a signature by shards does not list it.
    assert found["intact"] and found["signature_not_verified"] and found["files"] == (8 if shards else 9)
    assert compared("--manifest", signature, model)["intact"]
    with open(model / "model.safetensors", "ab") as file:
        file.write(b"x")
    (model / "empty").write_bytes(b"no longer")
    (model / "new").write_text("new")
    os.remove(model / "sub-file")
    found = compared("--manifest", signature, status=1)
    assert [change["file"] for change in found["changed"]] == ([] if shards else ["empty"]) + ["model.safetensors"]
    assert {change["tensors"] for change in found["changed"]} == {"unrecorded"}
    assert (found["missing"], found["added"]) == (["sub-file"], ["empty", "new"] if shards else ["new"])


def test_other_hashes(model, folder, keys):
    signature = folder / "model.sig"
    config = hashing.Config().use_file_serialization(hashing_algorithm="blake3")
    signing.Config().use_elliptic_key_signer(private_key=keys[0]).set_hashing_config(config).sign(model, signature)
    assert "blake3" in ckpt("verify", model, "--manifest", signature, status=65)


def test_one_file_signed_by_them(model, folder, keys):
    """A signature of a single file does not say its name."""
    signature = folder / "model.sig"
    signing.Config().use_elliptic_key_signer(private_key=keys[0]).sign(model / "model.safetensors", signature)
    assert compared(model / "model.safetensors", "--manifest", signature)["intact"]
    assert not compared(model / "config.json", "--manifest", signature, status=1)["intact"]
    ckpt("verify", model, "--manifest", signature, status=64)


def test_changes(model, folder):
    """What differs: files, tensors, or the container alone."""
    manifest = model / "manifest.json"
    assert "9 files" in ckpt("hash", "--manifest", model, "-o", manifest)
    ckpt("hash", "--manifest", model, "-o", manifest, status=73)
    assert compared("--manifest", manifest)["intact"]
    weights = safetensors.torch.load_file(model / "model.safetensors")
    safetensors.torch.save_file(weights, model / "model.safetensors", metadata={"format": "pt"})
    training = torch.load(model / "sub" / "training.pt")
    training["model"]["b"][3] = 77
    training["model"]["c"] = training["model"].pop("a.bias")
    torch.save(training, model / "sub" / "training.pt")
    os.remove(model / "empty")
    (model / "sub" / "more").write_text("more")
    found = compared("--manifest", manifest, status=1)
    assert (found["missing"], found["added"]) == (["empty"], ["sub/more"])
    changes = {change["file"]: change for change in found["changed"]}
    assert set(changes) == {"model.safetensors", "sub/training.pt"}
    assert changes["model.safetensors"]["tensors"] == "same"
    training = changes["sub/training.pt"]
    assert (training["changed"], training["missing"], training["added"]) == (["model/b"], ["model/a.bias"], ["model/c"])
    # One file alone.
    assert not compared(model / "model.safetensors", "--manifest", manifest, status=1)["added"]
    assert compared(model / "config.json", "--manifest", manifest)["intact"]
    assert "does not list" in ckpt("verify", model / "sub" / "more", "--manifest", manifest, status=65)


def test_distributed_container(model):
    manifest = model / "manifest.json"
    ckpt("hash", "--manifest", model, "-o", manifest)
    state = {"model": {key: torch.zeros(size) for key, size in [("a.weight", (30, 40)), ("a.bias", 30)]}, "step": 1}
    state["model"]["b"] = torch.zeros(9, dtype=torch.int64)
    dcp.load(state, checkpoint_id=model / "saved", no_dist=True)
    again = {"step": 1, "model": dict(reversed(state["model"].items())), "extra": "object"}
    dcp.save(again, checkpoint_id=model / "saved", no_dist=True)
    found = compared("--manifest", manifest, status=1)
    assert {change["file"]: change["tensors"] for change in found["changed"]} == {
        "saved/.metadata": "same", "saved/__0_0.distcp": "same"}
    again["model"]["a.bias"] += 1
    dcp.save(again, checkpoint_id=model / "saved", no_dist=True)
    assert {tuple(change["changed"]) for change in compared("--manifest", manifest, status=1)["changed"]} == {
        ("model/a.bias",)}


def test_damage_is_not_recorded_as_whole(model):
    path = model / "sub" / "training.pt"
    whole = bytearray(path.read_bytes())
    tensor = torch.load(path)["model"]["a.weight"].numpy().tobytes()
    whole[whole.find(tensor)] ^= 1
    path.write_bytes(whole)
    assert "damaged" in ckpt("hash", "--manifest", model, status=65)


def altered(statement, **changes):
    predicate = {**statement["predicate"], **{key: value for key, value in changes.items() if key in statement["predicate"]}}
    return {**statement, **{key: value for key, value in changes.items() if key in statement}, "predicate": predicate}


def test_bad_manifests(model, folder):
    """Nothing outside the folder is opened, and what is inconsistent is refused."""
    good = json.loads(ckpt("hash", "--manifest", model))
    path = folder / "bad.json"

    def refuse(text, says):
        path.write_text(text if isinstance(text, str) else json.dumps(text))
        error = ckpt("verify", model, "--manifest", path, status=65)
        assert says in error, error

    refuse("", "no manifest")
    refuse("{}", "statement")
    refuse("[" * 100000, "no manifest")
    refuse('{"_type": "a", "_type": "b"}', "twice")
    refuse({"payload": "%%%"}, "base64")
    refuse({"dsseEnvelope": {"payload": base64.b64encode(b"{}").decode()}}, "statement")
    refuse({**good, "predicateType": "https://slsa.dev/provenance/v1"}, "provenance")
    entry = {"name": "x", "algorithm": "sha256", "digest": "0" * 64}
    for name in ["../x", "/etc/passwd", "a/../../x", "a//b", "", "a/./b", "x\0y", "/".join(["d"] * 100)]:
        resources = [{**entry, "name": name}]
        root = hashlib.sha256(bytes(32)).hexdigest()
        subject = [{"name": "m", "digest": {"sha256": root}}]
        refuse(altered(good, resources=resources, subject=subject), "not in the model's folder")
    refuse(altered(good, resources=good["predicate"]["resources"][1:]), "inconsistent")
    double = good["predicate"]["resources"][:1] * 2
    root = hashlib.sha256(bytes.fromhex(double[0]["digest"]) * 2).hexdigest()
    refuse(altered(good, resources=double, subject=[{"name": "m", "digest": {"sha256": root}}]), "twice")
    # A link that leads out of the folder is not followed.
    (folder / "secret").write_text("secret")
    os.remove(model / "config.json")
    os.symlink(folder / "secret", model / "config.json")
    path.write_text(json.dumps(good))
    assert "leaves its folder" in ckpt("verify", model, "--manifest", path, status=65)


# Git LFS


def pointer(data):
    """As `git lfs pointer` writes it."""
    digest = hashlib.sha256(data).hexdigest()
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {len(data)}\n"


def test_pointers(folder):
    file, text = folder / "model.safetensors", folder / "pointer.txt"
    safetensors.torch.save_file({"a": torch.rand(300, 300)}, file)
    data = file.read_bytes()
    text.write_text(pointer(data))
    assert "intact" in ckpt("verify", file, "--lfs", text)
    digest = hashlib.sha256(data).hexdigest()
    found = compared(file, "--lfs", f"sha256:{digest}")
    assert found["intact"] and found["found"] == digest and found["bytes"] == len(data)
    file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert "damaged: sha256 is" in ckpt("verify", file, "--lfs", text, status=1, output=True)
    file.write_bytes(data[:-1])
    assert f"{len(data) - 1} bytes, not {len(data)}" in ckpt("verify", file, "--lfs", text, status=1, output=True)
    assert "pointer itself" in ckpt("verify", text, "--lfs", text, status=1, output=True)
    for bad in [
        b"", b"\xff\xfe", b"version https://git-lfs.github.com/spec/v1\n", data[:2000],
        pointer(data).replace("sha256:", "md5:").encode(), pointer(data).replace("size ", "size -").encode(),
        pointer(data).replace("spec/v1", "spec/v9").encode(), (pointer(data) + f"size {len(data)}\n").encode(),
    ]:
        text.write_bytes(bad)
        assert "pointer" in ckpt("verify", file, "--lfs", text, status=65), bad
    ckpt("verify", file, "--lfs", "sha256:12", status=65)
    ckpt("verify", file, "--lfs", folder / "none", status=66)
    ckpt("verify", folder / "none", "--lfs", f"sha256:{digest}", status=66)
    ckpt("verify", file, "--lfs", text, "--model", "resnet18", status=64)


def test_cache_of_the_hub(folder):
    """Links to blobs whose names are digests; and what is recorded beside a download into a folder."""
    repository = folder / "models--a--b"
    snapshot = repository / "snapshots" / "0123"
    snapshot.mkdir(parents=True)
    (repository / "blobs").mkdir()
    data = {"model.safetensors": safetensors.torch.save({"a": torch.rand(30)}), "config.json": b"{}\n"}
    names = {"model.safetensors": hashlib.sha256(data["model.safetensors"]).hexdigest()}
    names["config.json"] = subprocess.run(
        ["git", "hash-object", "--stdin"], input=data["config.json"], capture_output=True, check=True
    ).stdout.decode().strip()
    for name, digest in names.items():
        (repository / "blobs" / digest).write_bytes(data[name])
        os.symlink(f"../../blobs/{digest}", snapshot / name)
        assert compared(snapshot / name, "--lfs", "cache")["kind"] == ("sha256" if "model" in name else "git-blob")
        assert compared(repository / "blobs" / digest, "--lfs", "cache")["recorded"] == digest
    for name, digest in names.items():
        (repository / "blobs" / digest).write_bytes(data[name] + b" ")
        assert not compared(snapshot / name, "--lfs", "cache", status=1)["intact"]
    # `hf download --local-dir`
    local = folder / "local"
    notes = local / ".cache" / "huggingface" / "download" / "sub"
    notes.mkdir(parents=True)
    (local / "sub").mkdir()
    file = local / "sub" / "model.safetensors"
    file.write_bytes(data[file.name])
    (notes / "model.safetensors.metadata").write_text(f"0123\n{names[file.name]}\n1700000000.0\n")
    assert compared(file, "--lfs", "cache")["intact"]
    file.write_bytes(b"other")
    assert not compared(file, "--lfs", "cache", status=1)["intact"]
    (folder / "elsewhere").write_bytes(b"x")
    assert "cache of the Hub" in ckpt("verify", folder / "elsewhere", "--lfs", "cache", status=64)
