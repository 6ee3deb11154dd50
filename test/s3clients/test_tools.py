"""rclone, s3cmd, s5cmd, and restic where it is installed."""
import os
import shutil
from urllib.parse import urlparse

import pytest
from conftest import ENDPOINT, noise, run, sums

SECURE = ENDPOINT.startswith("https")


@pytest.fixture(params=["Other", "AWS"])
def rclone(request):
    if request.param == "AWS" and not SECURE:
        pytest.skip("rclone sends trailers to AWS, and those only over TLS")
    env = dict(
        os.environ, RCLONE_CONFIG_AIS_TYPE="s3", RCLONE_CONFIG_AIS_PROVIDER=request.param, RCLONE_CONFIG_AIS_ENV_AUTH="true", RCLONE_CONFIG_AIS_ENDPOINT=ENDPOINT,
        RCLONE_CONFIG_AIS_FORCE_PATH_STYLE="true", RCLONE_CA_CERT=os.environ.get("S3_CA", ""), RCLONE_CONFIG=os.devnull,
    )
    return lambda *args: run("rclone", *args, env=env)


def test_rclone(rclone, bucket, tree, tmp_path):
    rclone("sync", str(tree), f"ais:{bucket}/t", "--s3-upload-cutoff", "10M", "--s3-chunk-size", "5M")
    rclone("check", str(tree), f"ais:{bucket}/t")
    assert "Transferred:" not in rclone("sync", "-v", "--stats", "0", str(tree), f"ais:{bucket}/t"), "what is there was sent again"
    rclone("copy", f"ais:{bucket}/t", str(tmp_path / "back"))
    assert sums(tmp_path / "back") == sums(tree)
    for name in ("large.bin", "empty"):  # rclone keeps the time in metadata
        assert int((tmp_path / "back" / name).stat().st_mtime) == int((tree / name).stat().st_mtime)
    rclone("copy", f"ais:{bucket}/t", f"ais:{bucket}/u")
    rclone("purge", f"ais:{bucket}/t")
    assert rclone("lsf", f"ais:{bucket}/").split() == ["u/"]


def test_s3cmd(bucket, tree, tmp_path):
    u = urlparse(ENDPOINT)
    conf = tmp_path / "s3cfg"
    conf.write_text(f"[default]\naccess_key = {os.environ['AWS_ACCESS_KEY_ID']}\nsecret_key = {os.environ['AWS_SECRET_ACCESS_KEY']}\nhost_base = {u.netloc}\nhost_bucket = {u.netloc}\n"
                    f"use_https = {SECURE}\nca_certs_file = {os.environ.get('S3_CA', '')}\n")
    s3cmd = lambda *args: run("s3cmd", "-c", str(conf), *args)
    s3cmd("sync", "--multipart-chunk-size-mb=5", str(tree) + "/", f"s3://{bucket}/t/")
    s3cmd("sync", f"s3://{bucket}/t/", str(tmp_path / "back") + "/")
    assert sums(tmp_path / "back") == sums(tree)
    assert "MD5 sum" in s3cmd("info", f"s3://{bucket}/t/empty")
    s3cmd("del", "--recursive", "--force", f"s3://{bucket}/t/")
    assert s3cmd("ls", f"s3://{bucket}/") == ""


def test_s5cmd(bucket, tree, tmp_path):
    if SECURE:
        pytest.skip("s5cmd takes only certificates that the machine trusts")
    if "version" not in run("s5cmd", "--help"):
        pytest.skip("this s5cmd is another program")
    s5 = lambda *args: run("s5cmd", "--endpoint-url", ENDPOINT, *args)
    s5("cp", "--part-size", "5", str(tree) + "/", f"s3://{bucket}/t/")
    s5("cp", f"s3://{bucket}/t/*", str(tmp_path / "back") + "/")
    assert sums(tmp_path / "back") == sums(tree)
    s5("rm", f"s3://{bucket}/t/*")


def test_restic(bucket, tree, tmp_path):
    if not shutil.which("restic"):
        pytest.skip("restic is not installed")
    if SECURE:
        opts = ["--cacert", os.environ["S3_CA"]]
    else:
        opts = []
    env = dict(os.environ, RESTIC_PASSWORD="pw", RESTIC_REPOSITORY=f"s3:{ENDPOINT}/{bucket}/repo", RESTIC_CACHE_DIR=str(tmp_path / "cache"))
    restic = lambda *args: run("restic", *opts, *args, env=env)
    restic("init")
    restic("backup", str(tree))
    restic("check", "--read-data")
    restic("restore", "latest", "--target", str(tmp_path / "back"))
    assert sums(str(tmp_path / "back") + str(tree)) == sums(tree)
    restic("forget", "--keep-last", "1", "--prune")
