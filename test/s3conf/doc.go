// Package s3conf is the project's S3 conformance suite: published clients (aws-sdk-go-v2 and minio-go) against an
// endpoint, one file per area.
//
// go test ./test/s3conf starts a cluster of 1 gateway and 3 targets and runs everything through the gateway, and again
// through a target and over TLS. It judges any other S3 server too:
//
//	S3_ENDPOINT=http://127.0.0.1:9000 S3_ACCESS_KEY=... S3_SECRET_KEY=... [S3_ALT_ACCESS_KEY=... S3_ALT_SECRET_KEY=...] go test ./test/s3conf
//
// Start at suite_test.go.
package s3conf
