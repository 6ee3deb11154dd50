"""pyarrow's own S3 file system (the C++ SDK): a Parquet data set, written and read by columns."""
import os
from urllib.parse import urlparse

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from conftest import ENDPOINT
from pyarrow import fs


@pytest.fixture
def s3():
    u = urlparse(ENDPOINT)
    kw = {"tls_ca_file_path": os.environ["S3_CA"]} if os.environ.get("S3_CA") else {}
    try:
        return fs.S3FileSystem(endpoint_override=u.netloc, scheme=u.scheme, region="us-east-1", allow_bucket_creation=True, **kw)
    except TypeError:
        pytest.skip("this pyarrow cannot be told which certificate to trust")


def test_dataset(s3, bucket):
    rows = 200_000
    table = pa.table({"id": pa.array(range(rows)), "part": pa.array([i % 4 for i in range(rows)]), "text": pa.array([f"row {i}" for i in range(rows)])})
    ds.write_dataset(table, f"{bucket}/set", filesystem=s3, format="parquet", partitioning=["part"], partitioning_flavor="hive")
    back = ds.dataset(f"{bucket}/set", filesystem=s3, format="parquet", partitioning="hive")
    assert back.count_rows() == rows
    some = back.to_table(columns=["id"], filter=(pc.field("part") == 2) & (pc.field("id") < 100))
    assert sorted(some["id"].to_pylist()) == [i for i in range(100) if i % 4 == 2]
    whole = pq.read_table(f"{bucket}/set", filesystem=s3)
    assert sorted(whole["id"].to_pylist()) == list(range(rows))


def test_files(s3, bucket):
    with s3.open_output_stream(f"{bucket}/big") as f:  # parts
        for i in range(12):
            f.write(bytes([i]) * (1 << 20))
    info = s3.get_file_info(f"{bucket}/big")
    assert info.size == 12 << 20 and info.type == fs.FileType.File
    with s3.open_input_file(f"{bucket}/big") as f:
        f.seek(5 << 20)
        assert f.read(10) == bytes([5]) * 10
    assert s3.get_file_info(f"{bucket}/none").type == fs.FileType.NotFound
    s3.create_dir(f"{bucket}/dir/sub")
    assert s3.get_file_info(f"{bucket}/dir/sub").type == fs.FileType.Directory
    s3.copy_file(f"{bucket}/big", f"{bucket}/dir/copy")
    assert sorted(i.base_name for i in s3.get_file_info(fs.FileSelector(f"{bucket}/dir"))) == ["copy", "sub"]
    s3.delete_dir(f"{bucket}/dir")
    assert s3.get_file_info(f"{bucket}/dir").type == fs.FileType.NotFound
