import hashlib
import os
import subprocess
import uuid

import pytest

ENDPOINT = os.environ["S3_ENDPOINT"]
LONG = bool(os.environ.get("AIS_LONG"))


def noise(size, seed=1):
    """size bytes that do not compress, the same for the same seed."""
    block = b"".join(hashlib.sha256(b"%d.%d" % (seed, i)).digest() for i in range(min(size, 1 << 20) // 32 + 1))[: 1 << 20]
    out = bytearray()
    for n in range(size // len(block) + 1 if size else 0):
        out += n.to_bytes(8, "big") + block[8:]
    return bytes(out[:size])


def run(*args, **kw):
    """Runs a program; returns what it printed, fails with it if it fails."""
    p = subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300, **kw)
    text = p.stdout.decode(errors="replace")
    assert p.returncode == 0, f"{' '.join(args)}: exit {p.returncode}\n{text}"
    return text


def sums(folder):
    """The files below folder and their SHA-256."""
    found = {}
    for base, _, names in os.walk(folder):
        for n in names:
            path = os.path.join(base, n)
            with open(path, "rb") as f:
                found[os.path.relpath(path, folder)] = hashlib.sha256(f.read()).hexdigest()
    return found


@pytest.fixture
def bucket():
    """A bucket of its own for each check, made and removed over plain HTTP requests of botocore or aiobotocore's."""
    import botocore.session

    s3 = botocore.session.get_session().create_client("s3", endpoint_url=ENDPOINT)
    name = "clients-" + uuid.uuid4().hex[:12]
    s3.create_bucket(Bucket=name)
    yield name
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=name):
        for o in page.get("Versions", []) + page.get("DeleteMarkers", []):
            s3.delete_object(Bucket=name, Key=o["Key"], VersionId=o["VersionId"])
    for u in s3.list_multipart_uploads(Bucket=name).get("Uploads", []):
        s3.abort_multipart_upload(Bucket=name, Key=u["Key"], UploadId=u["UploadId"])
    s3.delete_bucket(Bucket=name)


@pytest.fixture
def tree(tmp_path):
    """A folder of small files, odd names and one file that is uploaded in parts."""
    root = tmp_path / "tree"
    for i in range(30):
        p = root / f"d{i % 3}" / f"file {i}.txt"
        p.parent.mkdir(parents=True, exist_ok=True)
        p.write_bytes(noise(i * 100, i))
    (root / "empty").write_bytes(b"")
    (root / "ünï+&.bin").write_bytes(noise(70_000, 99))
    (root / "large.bin").write_bytes(noise(21 << 20, 7))
    for base, _, names in os.walk(root):
        for n in names:  # older than anything the server will say of its copies
            os.utime(os.path.join(base, n), (1_700_000_000, 1_700_000_000))
    return root
