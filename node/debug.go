package node

import (
	"bytes"
	"runtime"
	"runtime/pprof"
	"runtime/trace"
	"strconv"
	"strings"
	"time"

	"aistore/errs"
	"aistore/httpx"
)

// Profiles are on the intra-cluster listener only: they cost time and tell of the node's inside. Paths and
// formats are net/http/pprof's, so `go tool pprof http://HOST:INTRA/debug/pprof/profile` works.

const pathPprof = "/debug/pprof/"

func (n *Node) getProfile(c *httpx.Ctx) error {
	const op = "node.getProfile"
	name := c.Rest()
	switch name {
	case "":
		return listProfiles(c)
	case "profile", "trace":
		return collect(c, name)
	case "cmdline":
		return c.SendBytes([]byte("aisnode"))
	}
	p := pprof.Lookup(name)
	if p == nil {
		return errs.E(op, name, errs.NotFound, "there is no such profile")
	}
	if name == "heap" && c.Query("gc") != "" {
		runtime.GC()
	}
	level, _ := strconv.Atoi(c.Query("debug")) // not a number: binary
	c.SetHeader("Content-Type", "application/octet-stream")
	if level > 0 {
		c.SetHeader("Content-Type", "text/plain; charset=utf-8")
	}
	return p.WriteTo(c, level)
}

func listProfiles(c *httpx.Ctx) error {
	var b strings.Builder
	for _, p := range pprof.Profiles() {
		b.WriteString(p.Name() + " " + strconv.Itoa(p.Count()) + "\n")
	}
	b.WriteString("profile ?seconds=30\ntrace ?seconds=1\n")
	_, err := c.Write([]byte(b.String()))
	return err
}

// collect profiles the CPU or traces for a while; only one of a kind at a time.
func collect(c *httpx.Ctx, name string) error {
	const op = "node.getProfile"
	seconds := 30.0
	if name == "trace" {
		seconds = 1
	}
	if s := c.Query("seconds"); s != "" {
		var err error
		if seconds, err = strconv.ParseFloat(s, 64); err != nil || seconds <= 0 || seconds > 600 {
			return errs.F(op, "seconds", errs.Invalid, "%q is not a number up to 600", s)
		}
	}
	var b bytes.Buffer
	start, stop := pprof.StartCPUProfile, pprof.StopCPUProfile
	if name == "trace" {
		start, stop = trace.Start, trace.Stop
	}
	if err := start(&b); err != nil {
		return errs.E(op, name, errs.Conflict, err)
	}
	select {
	case <-c.Context().Done():
	case <-time.After(time.Duration(seconds * float64(time.Second))):
	}
	stop()
	c.SetHeader("Content-Type", "application/octet-stream")
	return c.SendBytes(b.Bytes())
}
