"""The cluster: map, readiness, performance, logs."""

import pytest
from aistore.sdk.enums import NodeFilter
from aistore.sdk.errors import AISError
from aistore.sdk import Client


def test_info(client, endpoint):
    smap = client.cluster().get_info()
    assert len(smap.tmap) == 3 and len(smap.pmap) == 1
    assert smap.uuid and smap.version > 0 and smap.uuid == client.cluster().get_uuid()
    assert endpoint in [p.public_net.direct_url for p in smap.pmap.values()]
    for node_id, node in {**smap.tmap, **smap.pmap}.items():
        assert node.daemon_id == node_id and node.public_net.daemon_port in node.public_net.direct_url
        assert node.id_digest > 0 and not node.in_maint_or_decomm()
        # every node knows the map
        assert Client(node.public_net.direct_url).cluster().get_uuid() == smap.uuid
    assert client.cluster().get_primary_url().startswith("http://127.0.0.1:")


def test_ready(client):
    assert client.cluster().is_ready()


def test_performance(client):
    perf = client.cluster().get_performance()
    assert set(perf) == set(client.cluster().get_info().tmap)
    for status in perf.values():
        assert status["snode"]["daemon_type"] == "target" and status["uptime_ns"] > 0
        assert status["stats"]["ops"] is not None


def test_logs(client):
    logs = client.cluster().get_cluster_logs(role=NodeFilter.ALL)
    assert len(logs) == 4 and all(isinstance(text, str) and text for text in logs.values())
    with pytest.raises(AISError) as failed:
        client.cluster().get_node_log("nobody")
    assert failed.value.status_code == 404


def test_log_archive(client):
    node = next(iter(client.cluster().get_info().tmap))
    archive = client.cluster().get_node_log_archive(node)
    assert archive[:2] == b"\x1f\x8b"  # gzip
