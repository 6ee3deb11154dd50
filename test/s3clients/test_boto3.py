"""boto3 with its defaults: parts in parallel, checksums in headers or, over TLS, in trailers."""
import filecmp
import io
import threading

import boto3
import botocore.exceptions
import pytest
from conftest import ENDPOINT, noise


@pytest.fixture
def s3():
    return boto3.client("s3", endpoint_url=ENDPOINT)


def test_large_file(s3, bucket, tmp_path):
    """200 MB up in parts and down in ranges, byte for byte."""
    path, back = tmp_path / "up", tmp_path / "down"
    with open(path, "wb") as f:
        for i in range(20):
            f.write(noise(10 << 20, i))
    s3.upload_file(str(path), bucket, "large")
    head = s3.head_object(Bucket=bucket, Key="large")
    assert head["ContentLength"] == 200 << 20 and "-" in head["ETag"]
    s3.download_file(bucket, "large", str(back))
    assert filecmp.cmp(path, back, shallow=False)


def test_put_get_with_default_checksum(s3, bucket):
    for size in (0, 1, 65_536, 65_537, 3_000_000):
        body = noise(size)
        put = s3.put_object(Bucket=bucket, Key="k", Body=body)
        assert put.get("ChecksumCRC32") or put.get("ChecksumCRC64NVME"), "the checksum that was sent is not echoed"
        assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == body


def test_stream_of_unknown_kind(s3, bucket):
    """A file object: botocore reads it once for the signature, or sends a trailer over TLS."""
    body = noise(9 << 20)
    s3.upload_fileobj(io.BytesIO(body), bucket, "stream")
    out = io.BytesIO()
    s3.download_fileobj(bucket, "stream", out)
    assert out.getvalue() == body


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "SHA1", "SHA256", "CRC64NVME"])
def test_checksums(s3, bucket, algorithm):
    try:
        s3.put_object(Bucket=bucket, Key="k", Body=b"Hello world", ChecksumAlgorithm=algorithm)
    except botocore.exceptions.MissingDependencyException:
        pytest.skip("botocore needs awscrt for " + algorithm)
    head = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert head["Checksum" + algorithm]


def test_empty_then_not(s3, bucket):
    """botocore expects "100 Continue" for an empty body, too, and mistakes what comes instead for its next reply."""
    for body in (b"", b"hello", b"", b"again"):
        s3.put_object(Bucket=bucket, Key="k", Body=body)
        assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == body


def test_wrong_bucket_and_key(s3, bucket):
    with pytest.raises(s3.exceptions.NoSuchKey):
        s3.get_object(Bucket=bucket, Key="none")
    with pytest.raises(s3.exceptions.NoSuchBucket):
        s3.list_objects_v2(Bucket="clients-never-was")


def test_conditional_writes(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"1", IfNoneMatch="*")
    with pytest.raises(botocore.exceptions.ClientError) as e:
        s3.put_object(Bucket=bucket, Key="k", Body=b"2", IfNoneMatch="*")
    assert e.value.response["Error"]["Code"] == "PreconditionFailed"


def test_threads(s3, bucket):
    """One client in many threads, as data loaders have it."""
    def work(n):
        for i in range(20):
            s3.put_object(Bucket=bucket, Key=f"{n}/{i}", Body=noise(5000, n * 100 + i))
    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    names = [o["Key"] for p in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, PaginationConfig={"PageSize": 37}) for o in p["Contents"]]
    assert len(names) == 160 and names == sorted(names)
    for n, i in ((0, 0), (7, 19), (3, 11)):
        assert s3.get_object(Bucket=bucket, Key=f"{n}/{i}")["Body"].read() == noise(5000, n * 100 + i)


def test_resource_api(bucket):
    b = boto3.resource("s3", endpoint_url=ENDPOINT).Bucket(bucket)
    b.put_object(Key="a/b", Body=b"x", Metadata={"one": "1"})
    assert [o.key for o in b.objects.filter(Prefix="a/")] == ["a/b"]
    assert b.Object("a/b").metadata == {"one": "1"}
    b.objects.all().delete()
    assert list(b.objects.all()) == []
