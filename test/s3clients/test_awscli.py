"""The aws command line: cp, sync, mv, rm, presign, api calls."""
import json
import urllib.request
import ssl
import os

from conftest import LONG, noise, run, sums


def test_sync_both_ways(bucket, tree, tmp_path):
    run("aws", "s3", "sync", str(tree), f"s3://{bucket}/t")
    again = run("aws", "s3", "sync", str(tree), f"s3://{bucket}/t")
    assert "upload" not in again, "what is there was uploaded again:\n" + again
    run("aws", "s3", "sync", f"s3://{bucket}/t", str(tmp_path / "back"))
    assert sums(tmp_path / "back") == sums(tree)
    run("aws", "s3", "sync", f"s3://{bucket}/t", f"s3://{bucket}/copy")
    assert run("aws", "s3", "ls", "--recursive", f"s3://{bucket}/copy").count("\n") == len(sums(tree))
    run("aws", "s3", "rm", "--recursive", f"s3://{bucket}/copy")
    assert "PRE t/" in run("aws", "s3", "ls", f"s3://{bucket}/")


def test_large_copy(bucket, tmp_path):
    size = (256 if LONG else 40) << 20
    (tmp_path / "f").write_bytes(noise(size))
    run("aws", "s3", "cp", str(tmp_path / "f"), f"s3://{bucket}/f")
    run("aws", "s3", "mv", f"s3://{bucket}/f", f"s3://{bucket}/g")  # a copy part by part
    run("aws", "s3", "cp", f"s3://{bucket}/g", str(tmp_path / "g"))
    assert (tmp_path / "g").read_bytes() == (tmp_path / "f").read_bytes()
    assert "f\n" not in run("aws", "s3", "ls", f"s3://{bucket}/")


def test_streams_and_presign(bucket):
    run("aws", "s3", "cp", "-", f"s3://{bucket}/stdin", input=b"from a pipe")
    assert run("aws", "s3", "cp", f"s3://{bucket}/stdin", "-") == "from a pipe"
    url = run("aws", "s3", "presign", f"s3://{bucket}/stdin").strip()
    ctx = ssl.create_default_context(cafile=os.environ["S3_CA"]) if os.environ.get("S3_CA") else None
    assert urllib.request.urlopen(url, context=ctx).read() == b"from a pipe"


def test_api(bucket, tmp_path):
    (tmp_path / "b").write_bytes(b"body")
    run("aws", "s3api", "put-object", "--bucket", bucket, "--key", "k", "--body", str(tmp_path / "b"), "--metadata", "a=b", "--tagging", "x=y")
    head = json.loads(run("aws", "s3api", "head-object", "--bucket", bucket, "--key", "k"))
    assert head["Metadata"] == {"a": "b"} and head["ContentLength"] == 4
    tags = json.loads(run("aws", "s3api", "get-object-tagging", "--bucket", bucket, "--key", "k"))
    assert tags["TagSet"] == [{"Key": "x", "Value": "y"}]
    run("aws", "s3api", "put-bucket-versioning", "--bucket", bucket, "--versioning-configuration", "Status=Enabled")
    assert json.loads(run("aws", "s3api", "get-bucket-versioning", "--bucket", bucket))["Status"] == "Enabled"
    run("aws", "s3api", "put-bucket-versioning", "--bucket", bucket, "--versioning-configuration", "Status=Suspended")
