"""The client below the PyTorch connector and Mountpoint (AWS CRT): ranged reads in parallel, parts with CRC32C."""
import os

import pytest
from conftest import ENDPOINT, noise

crt = pytest.importorskip("s3torchconnectorclient._mountpoint_s3_client")


@pytest.fixture
def client():
    if ENDPOINT.startswith("https"):
        pytest.skip("the CRT takes only certificates that the machine trusts")
    return crt.MountpointS3Client(region="us-east-1", user_agent_prefix="test", endpoint=ENDPOINT, force_path_style=True, throughput_target_gbps=1.0, part_size=8 << 20)


def test_objects(client, bucket):
    for size in (0, 10, 200_000, 20 << 20):
        body = noise(size)
        w = client.put_object(bucket, f"k{size}", None)
        for at in range(0, size, 1 << 20):
            w.write(body[at : at + (1 << 20)])
        w.close()
        assert b"".join(client.get_object(bucket, f"k{size}")) == body
        assert client.head_object(bucket, f"k{size}").size == size
    names = [o.key for page in client.list_objects(bucket, prefix="k", max_keys=2) for o in page.object_info]
    assert names == sorted(["k0", "k10", "k200000", f"k{20 << 20}"])
    client.delete_object(bucket, "k10")
    with pytest.raises(Exception):
        client.head_object(bucket, "k10")
