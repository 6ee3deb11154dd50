"""A gateway with s3.redirect: who follows is sent to the owner of a key, botocore and its like are relayed."""
import boto3
import botocore.config
import pytest
import requests
from conftest import ENDPOINT, noise, run


@pytest.fixture
def keys(bucket):
    """Objects of several owners."""
    s3 = boto3.client("s3", endpoint_url=ENDPOINT)
    made = {f"dir/k {i}+&": noise(1000 * i, i) for i in range(8)}
    for key, body in made.items():
        s3.put_object(Bucket=bucket, Key=key, Body=body)
    return made


def test_boto3(bucket, keys):
    s3 = boto3.client("s3", endpoint_url=ENDPOINT)
    for key, body in keys.items():
        assert s3.head_object(Bucket=bucket, Key=key)["ContentLength"] == len(body)
        assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == body


@pytest.mark.parametrize("version", ["s3", "s3v4"])
def test_presigned(bucket, keys, version):
    s3 = boto3.client("s3", endpoint_url=ENDPOINT, config=botocore.config.Config(signature_version=version))
    hosts = set()
    for key, body in keys.items():
        url = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": key})
        r = requests.get(url)
        assert r.content == body
        assert [h.status_code for h in r.history] == [307]
        hosts.add(r.url.split("/")[2])
        assert requests.get(r.url).content == body
        assert requests.delete(r.url).status_code == 403
        url = s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": key})
        r = requests.put(url, data=body)
        assert r.status_code == 200 and not r.history, "a request with a body was sent elsewhere"
        url = s3.generate_presigned_url("delete_object", Params={"Bucket": bucket, "Key": key})
        assert requests.delete(url).status_code == 204
    assert len(hosts) > 1


def test_aws(bucket, keys, tmp_path):
    run("aws", "s3", "sync", f"s3://{bucket}/", str(tmp_path / "back"))
    for key, body in keys.items():
        assert (tmp_path / "back" / key).read_bytes() == body
