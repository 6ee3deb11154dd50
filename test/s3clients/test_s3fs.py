"""s3fs, through which pandas, dask and Hugging Face datasets read and write."""
import os

import pytest
import s3fs
from conftest import ENDPOINT, noise


@pytest.fixture
def fs():
    kw = {"verify": os.environ["S3_CA"]} if os.environ.get("S3_CA") else {}
    return s3fs.S3FileSystem(endpoint_url=ENDPOINT, client_kwargs=kw, use_listings_cache=False, skip_instance_cache=True)


def test_files(fs, bucket):
    body = noise(12 << 20)
    with fs.open(f"{bucket}/d/large", "wb") as f:  # parts of 5 MiB and more
        f.write(body)
    with fs.open(f"{bucket}/d/large", "rb") as f:
        f.seek(7_000_000)
        assert f.read(1000) == body[7_000_000:7_001_000]
    assert fs.cat(f"{bucket}/d/large") == body
    fs.pipe(f"{bucket}/d/small", b"x")
    assert sorted(fs.ls(f"{bucket}/d")) == [f"{bucket}/d/large", f"{bucket}/d/small"]
    assert fs.info(f"{bucket}/d/small")["size"] == 1
    assert fs.isdir(f"{bucket}/d") and not fs.exists(f"{bucket}/none")
    fs.copy(f"{bucket}/d/small", f"{bucket}/e/small")
    fs.mv(f"{bucket}/e/small", f"{bucket}/f/small")
    assert fs.find(bucket) == [f"{bucket}/d/large", f"{bucket}/d/small", f"{bucket}/f/small"]
    fs.rm(f"{bucket}/d", recursive=True)
    assert fs.find(bucket) == [f"{bucket}/f/small"]


def test_tree(fs, bucket, tree, tmp_path):
    fs.put(str(tree), f"{bucket}/t", recursive=True)
    fs.get(f"{bucket}/t", str(tmp_path / "back"), recursive=True)
    from conftest import sums
    assert sums(tmp_path / "back") == sums(tree)


def test_append_and_glob(fs, bucket):
    for i in range(5):
        fs.pipe(f"{bucket}/p/{i}.txt", str(i).encode())
    assert [p.rsplit("/", 1)[1] for p in sorted(fs.glob(f"{bucket}/p/[1-3].txt"))] == ["1.txt", "2.txt", "3.txt"]
    with fs.open(f"{bucket}/p/0.txt", "ab") as f:
        f.write(b"more")
    assert fs.cat(f"{bucket}/p/0.txt") == b"0more"
