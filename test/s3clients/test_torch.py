"""PyTorch through s3torchconnector: map-style and iterable data sets, distributed checkpoints. Long: make test-clients."""
import boto3
import pytest
import torch
import torch.distributed.checkpoint as dcp
from conftest import ENDPOINT, noise
from s3torchconnector import S3Checkpoint, S3ClientConfig, S3IterableDataset, S3MapDataset
from s3torchconnector.dcp import S3StorageReader, S3StorageWriter

CONFIG = S3ClientConfig(force_path_style=True)
pytestmark = pytest.mark.skipif(ENDPOINT.startswith("https"), reason="the CRT takes only certificates that the machine trusts")


@pytest.fixture
def samples(bucket):
    s3 = boto3.client("s3", endpoint_url=ENDPOINT)
    for i in range(50):
        s3.put_object(Bucket=bucket, Key=f"train/{i:03}", Body=noise(1000 + i * 1000, i))
    return bucket


def test_map(samples):
    data = S3MapDataset.from_prefix(f"s3://{samples}/train/", region="us-east-1", endpoint=ENDPOINT, s3client_config=CONFIG)
    assert len(data) == 50
    assert data[7].read() == noise(8000, 7)


def test_iterable_with_workers(samples):
    data = S3IterableDataset.from_prefix(f"s3://{samples}/train/", region="us-east-1", endpoint=ENDPOINT, s3client_config=CONFIG, enable_sharding=True, transform=lambda o: (o.key, len(o.read())))
    loader = torch.utils.data.DataLoader(data, batch_size=None, num_workers=2)
    assert dict(loader) == {f"train/{i:03}": 1000 + i * 1000 for i in range(50)}


def test_checkpoint(bucket):
    state = {"w": torch.randn(1000, 1000), "step": 3}
    store = S3Checkpoint(region="us-east-1", endpoint=ENDPOINT, s3client_config=CONFIG)
    with store.writer(f"s3://{bucket}/ckpt/one") as w:
        torch.save(state, w)
    with store.reader(f"s3://{bucket}/ckpt/one") as r:
        back = torch.load(r)
    assert torch.equal(back["w"], state["w"]) and back["step"] == 3


def test_distributed_checkpoint(bucket):
    state = {"w": torch.randn(2000, 1000), "b": torch.arange(10)}
    uri = f"s3://{bucket}/dcp/epoch1"
    dcp.save(state, storage_writer=S3StorageWriter(region="us-east-1", path=uri, endpoint=ENDPOINT, s3client_config=CONFIG) if "endpoint" in S3StorageWriter.__init__.__code__.co_varnames else S3StorageWriter(region="us-east-1", path=uri, s3client_config=CONFIG))
    back = {"w": torch.zeros(2000, 1000), "b": torch.zeros(10, dtype=torch.long)}
    dcp.load(back, storage_reader=S3StorageReader(region="us-east-1", path=uri, s3client_config=CONFIG))
    assert torch.equal(back["w"], state["w"]) and torch.equal(back["b"], state["b"])
