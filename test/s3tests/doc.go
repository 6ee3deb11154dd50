// Package s3tests runs the public ceph/s3-tests suite against a cluster of real processes, where the suite is at hand:
//
//	S3TESTS_DIR=DIR S3TESTS_RUNNER=run.sh [S3TESTS_LIST=FILE] go test -v ./test/s3tests      (make test-s3tests)
//
// S3TESTS_DIR is a checkout of the suite (nothing of it is in this repository), S3TESTS_RUNNER a script that takes a list of
// tests and the variables S3_ENDPOINT, S3_ACCESS_KEY, S3_SECRET_KEY, S3_ALT_..., S3_LC_DAY_S from the environment and prints
// what passed. What fails, and why, stands in docs/s3.md.
package s3tests
