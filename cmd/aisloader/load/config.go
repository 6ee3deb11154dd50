// Package load is the engine of aisloader: workers that keep one connection per server each and send requests as
// fast as the servers answer, for a bounded time or number of operations, and a report of what came of it.
//
// It drives servers and measures them; it is no client library: there is no retry beyond a stale kept connection and a stale
// cluster map, because a retry would hide what is to be measured.
//
// Start at Config and Run; one operation of one worker is (*worker).do.
package load

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"aistore/cmd/aisloader/sigv4"
)

// API is the dialect of the servers.
type API string

// The dialects. HTTP is plain PUT, GET, HEAD and DELETE of ENDPOINT/BUCKET/KEY, as nginx serves files.
const (
	Native API = "native"
	S3     API = "s3"
	HTTP   API = "http"
)

// Op is one kind of operation.
type Op uint8

// The operations. List reads a whole listing, page by page.
const (
	Put Op = iota
	Get
	Head
	Delete
	List
	opCount
)

// String returns the name of the flag's value.
func (o Op) String() string { return [opCount]string{"put", "get", "head", "delete", "list"}[o] }

// ParseOp is the inverse of String.
func ParseOp(s string) (Op, error) {
	for o := range opCount {
		if o.String() == s {
			return o, nil
		}
	}
	return 0, fmt.Errorf("%q is no operation: use put, get, head, delete, list or mixed", s)
}

// Mix is a share per operation; what is not in it is not done.
type Mix [opCount]int

// ParseMix reads "get=80,put=20".
func ParseMix(s string) (Mix, error) {
	var m Mix
	for part := range strings.SplitSeq(s, ",") {
		name, share, ok := strings.Cut(strings.TrimSpace(part), "=")
		n, err := strconv.Atoi(share)
		op, operr := ParseOp(name)
		if !ok || err != nil || operr != nil || n < 0 || op == List {
			return m, fmt.Errorf("mix %q: %q is not OPERATION=SHARE with put, get, head or delete", s, part)
		}
		m[op] = n
	}
	if m.total() == 0 {
		return m, fmt.Errorf("mix %q has no shares", s)
	}
	return m, nil
}

func (m Mix) total() (n int) {
	for _, share := range m {
		n += share
	}
	return n
}

// only returns the one operation of the mix, if it is one.
func (m Mix) only() (Op, bool) {
	for o := range opCount {
		if m[o] > 0 && m[o] == m.total() {
			return o, true
		}
	}
	return 0, false
}

// Config of a run.
type Config struct {
	Endpoints   []string // http://HOST:PORT; workers take them in turn
	API         API
	Direct      bool // native: straight to the owners by the cluster map; else to the endpoints, following redirects
	Bucket      string
	Prefix      string // of every key
	Mix         Mix
	Sizes       Sizes
	Objects     int64 // names: 0..Objects-1; 0 = without end (put only)
	Seed        uint64
	Random      bool // names of get, head and mixed are drawn at random; else in turn
	Concurrency int
	Duration    time.Duration // of the measured part; 0 = until Ops
	Ops         int64         // operations of the measured part; 0 = until Duration
	Warmup      time.Duration // before the measured part, not counted
	Fill        bool          // first put every name, not counted
	Create      bool          // first create the bucket if it is not there
	Cleanup     bool          // afterwards delete what was put, or the bucket if the run created it
	Verify      bool          // compare every byte that is read with what was put
	PageSize    int           // names per list page
	Timeout     time.Duration // of one request
	Credentials sigv4.Credentials
	ServerPIDs  []int
	MaxErrors   int64 // give up after so many; 0 = 100
}

// Validate joins every fault, each naming its flag.
func (c *Config) Validate() error {
	var all []error
	bad := func(format string, args ...any) { all = append(all, fmt.Errorf(format, args...)) }
	if len(c.Endpoints) == 0 {
		bad("--endpoint: none given")
	}
	for _, e := range c.Endpoints {
		if u, err := url.Parse(e); err != nil || u.Scheme != "http" || u.Hostname() == "" || u.Port() == "" || u.Path != "" {
			bad("--endpoint: %q is not http://HOST:PORT", e)
		}
	}
	switch c.API {
	case Native, S3:
		if c.Bucket == "" {
			bad("--bucket: none given")
		}
		if strings.Contains(c.Bucket, "/") {
			bad("--bucket: %q is the name of no bucket; what stands before every key is --prefix", c.Bucket)
		}
	case HTTP:
	default:
		bad("--api: %q is unknown: use native, s3 or http", c.API)
	}
	if c.Direct && c.API != Native {
		bad("--direct: needs --api native")
	}
	if c.API == S3 && (c.Credentials.AccessKey == "" || c.Credentials.SecretKey == "") {
		bad("--s3-access-key, --s3-secret-key: none given")
	}
	c.validateLoad(bad)
	return errors.Join(all...)
}

//nolint:gocyclo // a list of conditions that have nothing to do with each other
func (c *Config) validateLoad(bad func(format string, args ...any)) {
	op, single := c.Mix.only()
	if c.Mix.total() == 0 {
		bad("--op: none given")
	}
	if c.Concurrency < 1 || c.Concurrency > 10_000 {
		bad("--concurrency: %d is outside 1..10000", c.Concurrency)
	}
	if c.Duration < 0 || c.Duration > 24*time.Hour || c.Ops < 0 || c.Warmup < 0 || c.Warmup > time.Hour {
		bad("--duration, --ops, --warmup: at most 24h, not negative, 1h")
	}
	if c.Objects < 0 || c.Objects > 1e9 {
		bad("--objects: %d is outside 0..10^9", c.Objects)
	}
	if c.Duration == 0 && c.Ops == 0 && !(single && op == Delete) {
		bad("--duration or --ops: a load without end is refused: give one of them")
	}
	if c.Objects == 0 && (!single || op != Put && op != List) {
		bad("--objects: needed for everything but put and list")
	}
	if c.Fill && c.Objects == 0 {
		bad("--fill: needs --objects")
	}
	if single && op == List && c.API == HTTP {
		bad("--op list: plain HTTP has no listing")
	}
	if c.PageSize < 1 || c.PageSize > 100_000 {
		bad("--page-size: %d is outside 1..100000", c.PageSize)
	}
	if c.Timeout < time.Second {
		bad("--timeout: %v is below 1s", c.Timeout)
	}
	if c.Create && c.API == HTTP {
		bad("--create-bucket: plain HTTP has no buckets")
	}
}

// Sizes of objects in bytes: one of a list, or anything between two bounds. Which one an object has
// follows from its key, so a reader knows it.
type Sizes struct {
	list     []int64
	low, top int64
}

// ParseSizes reads "4KiB", "1KiB,64KiB,1MiB" or "1KiB-1MiB".
func ParseSizes(s string) (Sizes, error) {
	if low, top, ok := strings.Cut(s, "-"); ok {
		a, err := parseSize(low)
		if err != nil {
			return Sizes{}, err
		}
		b, err := parseSize(top)
		if err != nil {
			return Sizes{}, err
		}
		if b < a {
			return Sizes{}, fmt.Errorf("size %q: the range is upside down", s)
		}
		return Sizes{low: a, top: b}, nil
	}
	var z Sizes
	for part := range strings.SplitSeq(s, ",") {
		n, err := parseSize(part)
		if err != nil {
			return z, err
		}
		z.list = append(z.list, n)
	}
	return z, nil
}

func parseSize(s string) (int64, error) {
	text := strings.ToLower(strings.TrimSpace(s))
	unit := int64(1)
	for _, u := range []struct {
		suffix string
		n      int64
	}{{"kib", 1 << 10}, {"mib", 1 << 20}, {"gib", 1 << 30}, {"kb", 1e3}, {"mb", 1e6}, {"gb", 1e9}, {"k", 1 << 10}, {"m", 1 << 20}, {"g", 1 << 30}, {"b", 1}} {
		if rest, ok := strings.CutSuffix(text, u.suffix); ok {
			text, unit = strings.TrimSpace(rest), u.n
			break
		}
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || n > (1<<40)/unit {
		return 0, fmt.Errorf("size %q: use a number of bytes up to 1 TiB, or with KiB, MiB, GiB", s)
	}
	return n * unit, nil
}

// of returns the size of the object whose key has this hash.
func (z Sizes) of(hash uint64) int64 {
	if len(z.list) == 1 {
		return z.list[0]
	}
	hash ^= hash >> 29
	if len(z.list) > 0 {
		return z.list[hash%uint64(len(z.list))]
	}
	return z.low + int64(hash%uint64(z.top-z.low+1))
}

// String is the inverse of ParseSizes.
func (z Sizes) String() string {
	if len(z.list) == 0 {
		return formatSize(z.low) + "-" + formatSize(z.top)
	}
	var parts []string
	for _, n := range z.list {
		parts = append(parts, formatSize(n))
	}
	return strings.Join(parts, ",")
}

func formatSize(n int64) string {
	for _, u := range []struct {
		n      int64
		suffix string
	}{{1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}} {
		if n >= u.n && n%u.n == 0 {
			return strconv.FormatInt(n/u.n, 10) + u.suffix
		}
	}
	return strconv.FormatInt(n, 10)
}
