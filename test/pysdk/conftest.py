"""What the checks of AIStore's Python SDK share: a client of the cluster that AIS_ENDPOINT names, and buckets."""

import os
import uuid

import pytest
from aistore.sdk import Client
from aistore.sdk.retry_config import RetryConfig
from urllib3.util.retry import Retry


def client_of(endpoint):
    """A client with the SDK's defaults, except that what fails is not retried for minutes."""
    config = RetryConfig.default()
    config.http_retry = Retry(total=2, backoff_factor=0.1, status_forcelist=[429, 500, 502, 503, 504], connect=0, read=0)
    return Client(endpoint, retry_config=config, timeout=(3, 30))


@pytest.fixture(scope="session")
def endpoint():
    return os.environ["AIS_ENDPOINT"]


@pytest.fixture(scope="session")
def client(endpoint):
    return client_of(endpoint)


@pytest.fixture
def name():
    """A bucket name that nobody else uses."""
    return "py-" + uuid.uuid4().hex[:12]


@pytest.fixture
def bucket(client, name):
    bck = client.bucket(name).create()
    yield bck
    bck.delete(missing_ok=True)


@pytest.fixture
def other(client, name):
    bck = client.bucket(name + "-to").create()
    yield bck
    bck.delete(missing_ok=True)


def put(bck, *names, size=0):
    """Objects whose content is their name, or size bytes."""
    for n in names:
        bck.object(n).get_writer().put_content(n.encode() if not size else bytes(size))


def listed(bck, **kwargs):
    return [e.name for e in bck.list_all_objects(**kwargs)]


def wait(client, job_id, kind=""):
    """Wait for a job as a user of the SDK does, and insist on success."""
    result = client.job(job_id=job_id, job_kind=kind).wait(timeout=30, verbose=False)
    assert result.success, result.error
    return result
