package load

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"aistore/api"
	"aistore/cmd/aisloader/sigv4"
	"aistore/errs"
)

// The few requests before and after the load go through net/http: they are not measured.

func getJSON(ctx context.Context, cfg *Config, address string, v any) error {
	raw, _, err := exchange(ctx, cfg, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, v)
}

// exchange sends one request and returns the body of a 2xx reply.
func exchange(ctx context.Context, cfg *Config, method, address string, body []byte) ([]byte, *http.Response, error) {
	ctx, cancel := context.WithTimeout(ctx, cfg.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	if cfg.API == S3 {
		head := sigv4.New(cfg.Credentials).Append(nil, sigv4.Request{
			Method: method, Host: req.URL.Host, Path: req.URL.EscapedPath(), Query: req.URL.RawQuery,
		}, time.Now())
		for line := range strings.SplitSeq(strings.TrimSuffix(string(head), "\r\n"), "\r\n") {
			k, v, _ := strings.Cut(line, ": ")
			req.Header.Set(k, v)
		}
	} else if body != nil {
		req.Header.Set("Content-Type", api.TypeJSON)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, resp, err
	}
	if resp.StatusCode/100 != 2 {
		return raw, resp, fmt.Errorf("%s %s: %s: %.300s", method, address, resp.Status, raw)
	}
	return raw, resp, nil
}

// createBucket makes the bucket; false if it was there.
func createBucket(ctx context.Context, cfg *Config) (bool, error) {
	var raw []byte
	var resp *http.Response
	var err error
	if cfg.API == S3 {
		raw, resp, err = exchange(ctx, cfg, http.MethodPut, cfg.Endpoints[0]+"/"+cfg.Bucket, nil)
	} else {
		raw, resp, err = exchange(ctx, cfg, http.MethodPost, bucketURL(cfg), []byte(`{"action":"`+api.ActCreateBucket+`"}`))
	}
	if err == nil {
		return true, nil
	}
	if resp != nil && resp.StatusCode == http.StatusConflict &&
		(resp.Header.Get(api.HeaderErrorKind) == errs.Exists.String() || bytes.Contains(raw, []byte("BucketAlreadyOwnedByYou"))) {
		return false, nil
	}
	return false, err
}

func destroyBucket(ctx context.Context, cfg *Config) error {
	if cfg.API == S3 {
		_, _, err := exchange(ctx, cfg, http.MethodDelete, cfg.Endpoints[0]+"/"+cfg.Bucket, nil)
		return err
	}
	_, _, err := exchange(ctx, cfg, http.MethodDelete, bucketURL(cfg), []byte(`{"action":"`+api.ActDestroyBucket+`"}`))
	return err
}

func bucketURL(cfg *Config) string {
	return cfg.Endpoints[0] + api.PathBuckets + "/" + url.PathEscape(cfg.Bucket)
}
