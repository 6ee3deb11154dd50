package cluster

import (
	"errors"
	"strings"
	"time"

	"aistore/errs"
)

// Config is the cluster-wide configuration, changed by `ais config cluster key=value` and kept in the
// replicated log. Keys are the dotted json names. Durations are strings such as "10s" in JSON; an int64 is a number of bytes.
type Config struct {
	Version   uint64       `json:"version"`
	Timeout   TimeoutCfg   `json:"timeout"`
	List      ListCfg      `json:"list"`
	Log       LogCfg       `json:"log"`
	Limits    LimitsCfg    `json:"limits"`
	S3        S3Cfg        `json:"s3"`
	Rebalance RebalanceCfg `json:"rebalance"`
	Disk      DiskCfg      `json:"disk"`
	Resilver  ResilverCfg  `json:"resilver"`
}

// DiskCfg is how targets watch their disks.
type DiskCfg struct {
	Probe       Duration `json:"probe"`        // every disk is looked at this often
	SlowFactor  int      `json:"slow_factor"`  // a disk is slow when its calls take so many times what they did, and what those of other disks take; 0 = never
	DisableSlow bool     `json:"disable_slow"` // take a slow disk out of service instead of only reporting it
	GiveUp      Duration `json:"give_up"`      // a disk that does not answer for this long is taken out of service
}

// ResilverCfg is how fast names move between the mountpaths of a target.
type ResilverCfg struct {
	Bandwidth int64 `json:"bandwidth"` // bytes per second of one target; 0 = no limit
	Share     int   `json:"share"`     // percent of its time that a worker works while clients wait for answers
}

// TimeoutCfg holds the times by which nodes judge each other.
type TimeoutCfg struct {
	Heartbeat Duration `json:"heartbeat"` // every node tells the primary that it lives this often
	Lease     Duration `json:"lease"`     // a target serves this long after its last answered heartbeat; dead after the same time plus a margin
	Request   Duration `json:"request"`   // a request without progress for this long is cut
	Drain     Duration `json:"drain"`     // SIGTERM waits this long for requests in flight
}

// ListCfg bounds list pages.
type ListCfg struct {
	PageSize    int `json:"page_size"`     // names in a page when the client asks for none
	MaxPageSize int `json:"max_page_size"` // more are cut down to this
}

// LogCfg sets the log level of every node.
type LogCfg struct {
	Level string `json:"level"` // debug, info, warn, error
}

// LimitsCfg protects nodes from overload.
type LimitsCfg struct {
	MaxObjectSize int64 `json:"max_object_size"` // bytes of an object
	Inflight      int   `json:"inflight"`        // data requests in flight per node; more are answered 503 with Retry-After
}

// S3Cfg is what the S3 endpoint does alike on every node.
type S3Cfg struct {
	Region         string   `json:"region"`          // that requests are signed for
	LifecycleDay   Duration `json:"lifecycle_day"`   // length of a day in lifecycle rules; shorter to try rules out
	LifecycleEvery Duration `json:"lifecycle_every"` // pause between two looks at the rules
	UploadTTL      Duration `json:"upload_ttl"`      // multipart uploads without progress for this long are dropped
	Redirect       bool     `json:"redirect"`        // answer 307 to the owner of a key instead of relaying
}

// RebalanceCfg is how names move when nodes come and go.
type RebalanceCfg struct {
	Bandwidth int64    `json:"bandwidth"`  // bytes that a node sends in a second at most, with those that owners fetch from it; 0 = no limit
	Weight    int      `json:"weight"`     // percent of the processors' time that moving takes at least while there are clients
	Spare     int      `json:"spare"`      // percent of the processors, and of the disks' time, that it leaves idle when it takes more; 100 = it never does
	Parallel  int      `json:"parallel"`   // requests on their way from one node to another
	JoinDelay Duration `json:"join_delay"` // targets that come within this time of each other are taken into service by one rebalance
	TermWait  Duration `json:"term_wait"`  // SIGTERM waits this long for what is being sent and received
}

// Duration is a time.Duration that is a string such as "10s" in JSON.
type Duration time.Duration

// D returns the plain duration.
func (d Duration) D() time.Duration { return time.Duration(d) }

// MarshalText formats as time.Duration does.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText parses what time.ParseDuration takes.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	if err != nil {
		return errors.New("is no time: write it with its unit, as 10s or 1m30s")
	}
	*d = Duration(v)
	return nil
}

// DefaultConfig returns what a new cluster starts with.
func DefaultConfig() *Config {
	return &Config{
		Version: 1,
		Timeout: TimeoutCfg{
			Heartbeat: Duration(time.Second), Lease: Duration(6 * time.Second),
			Request: Duration(60 * time.Second), Drain: Duration(30 * time.Second),
		},
		List:   ListCfg{PageSize: 1000, MaxPageSize: 10000},
		Log:    LogCfg{Level: "info"},
		Limits: LimitsCfg{MaxObjectSize: 5 << 40, Inflight: 4096},
		S3: S3Cfg{
			Region: "us-east-1", LifecycleDay: Duration(24 * time.Hour), LifecycleEvery: Duration(time.Hour), UploadTTL: Duration(7 * 24 * time.Hour),
		},
		Rebalance: RebalanceCfg{Weight: 1, Spare: 25, Parallel: 4, JoinDelay: Duration(2 * time.Second), TermWait: Duration(30 * time.Second)},
		Disk:      DiskCfg{Probe: Duration(2 * time.Second), SlowFactor: 8, GiveUp: Duration(6 * time.Second)}, Resilver: ResilverCfg{Share: 25},
	}
}

// Validate joins every fault, each naming its key.
func (c *Config) Validate() error {
	const op = "cluster.Config"
	var all []error
	bad := func(key, format string, args ...any) {
		all = append(all, errs.F(op, key, errs.Invalid, format, args...))
	}
	if h := c.Timeout.Heartbeat.D(); h < 50*time.Millisecond || h > time.Minute {
		bad("timeout.heartbeat", "%v is outside 50ms..1m", h)
	}
	if l := c.Timeout.Lease.D(); l < 3*c.Timeout.Heartbeat.D() || l > 10*time.Minute {
		bad("timeout.lease", "%v must be at least three heartbeats and at most 10m", l)
	}
	if r := c.Timeout.Request.D(); r < time.Second || r > time.Hour {
		bad("timeout.request", "%v is outside 1s..1h", r)
	}
	if d := c.Timeout.Drain.D(); d < 0 || d > time.Hour {
		bad("timeout.drain", "%v is outside 0s..1h", d)
	}
	if c.List.MaxPageSize < 1 || c.List.MaxPageSize > 100_000 {
		bad("list.max_page_size", "%d is outside 1..100000", c.List.MaxPageSize)
	}
	if c.List.PageSize < 1 || c.List.PageSize > c.List.MaxPageSize {
		bad("list.page_size", "%d is outside 1..list.max_page_size", c.List.PageSize)
	}
	switch c.Log.Level {
	case "debug", "info", "warn", "error":
	default:
		bad("log.level", "%q is unknown: use debug, info, warn or error", c.Log.Level)
	}
	if c.Limits.MaxObjectSize < 1<<20 {
		bad("limits.max_object_size", "%d is below 1 MiB", c.Limits.MaxObjectSize)
	}
	if c.Limits.Inflight < 1 {
		bad("limits.inflight", "%d is below 1", c.Limits.Inflight)
	}
	c.S3.validate(bad)
	c.Rebalance.validate(bad)
	c.validateDisks(bad)
	return errors.Join(all...)
}

func (r *RebalanceCfg) validate(bad func(key, format string, args ...any)) {
	if r.Bandwidth < 0 {
		bad("rebalance.bandwidth", "%d is negative: use bytes per second, or 0 for no limit", r.Bandwidth)
	}
	if r.Weight < 1 || r.Weight > 100 {
		bad("rebalance.weight", "%d is outside 1..100", r.Weight)
	}
	if r.Spare < 1 || r.Spare > 100 {
		bad("rebalance.spare", "%d is outside 1..100", r.Spare)
	}
	if r.Parallel < 1 || r.Parallel > 16 {
		bad("rebalance.parallel", "%d is outside 1..16", r.Parallel)
	}
	if d := r.JoinDelay.D(); d < time.Millisecond || d > time.Hour {
		bad("rebalance.join_delay", "%v is outside 1ms..1h", d)
	}
	if d := r.TermWait.D(); d < time.Millisecond || d > time.Hour {
		bad("rebalance.term_wait", "%v is outside 1ms..1h", d)
	}
}

func (c *Config) validateDisks(bad func(key, format string, args ...any)) {
	if d := c.Disk.Probe.D(); d < 100*time.Millisecond || d > time.Minute {
		bad("disk.probe", "%v is outside 100ms..1m", d)
	}
	if f := c.Disk.SlowFactor; f < 0 || f == 1 || f > 1000 {
		bad("disk.slow_factor", "%d is neither 0 nor within 2..1000", f)
	}
	if d := c.Disk.GiveUp.D(); d < time.Second || d > time.Hour {
		bad("disk.give_up", "%v is outside 1s..1h", d)
	}
	if b := c.Resilver.Bandwidth; b < 0 || b > 0 && b < 1<<16 {
		bad("resilver.bandwidth", "%d is neither 0 nor at least 64 KiB", b)
	}
	if s := c.Resilver.Share; s < 1 || s > 100 {
		bad("resilver.share", "%d is outside 1..100", s)
	}
}

func (s *S3Cfg) validate(bad func(key, format string, args ...any)) {
	if s.Region == "" || len(s.Region) > 64 || strings.Trim(s.Region, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		bad("s3.region", "%.70q: use 1 to 64 lower-case letters, digits and '-'", s.Region)
	}
	if d := s.LifecycleDay.D(); d < time.Second || d > 24*time.Hour {
		bad("s3.lifecycle_day", "%v is outside 1s..24h", d)
	}
	if d := s.LifecycleEvery.D(); d < time.Second || d > 24*time.Hour {
		bad("s3.lifecycle_every", "%v is outside 1s..24h", d)
	}
	if d := s.UploadTTL.D(); d < time.Minute || d > 365*24*time.Hour {
		bad("s3.upload_ttl", "%v is outside 1m..8760h", d)
	}
}
