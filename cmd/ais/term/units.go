package term

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"aistore/errs"
)

// Units says how numbers of bytes are written.
type Units string

// The units.
const (
	IEC Units = "iec" // 1.50KiB
	SI  Units = "si"  // 1.54KB
	Raw Units = "raw" // 1536
)

// ParseUnits takes the value of --units.
func ParseUnits(s string) (Units, error) {
	switch u := Units(strings.ToLower(s)); u {
	case IEC, SI, Raw:
		return u, nil
	}
	return "", errs.F("term.ParseUnits", "--units", errs.Invalid, "%q is unknown: use iec, si or raw", s)
}

// Bytes formats n.
func (u Units) Bytes(n int64) string {
	base, suffix := 1024.0, "iB"
	switch u {
	case Raw:
		return strconv.FormatInt(n, 10)
	case SI:
		base, suffix = 1000, "B"
	case IEC:
	}
	if math.Abs(float64(n)) < base {
		return strconv.FormatInt(n, 10) + "B"
	}
	f, i := float64(n)/base, 0
	for ; math.Abs(f) >= base && i < 5; i++ {
		f /= base
	}
	return fmt.Sprintf("%.2f%c%s", f, "KMGTPE"[i], suffix)
}

// ParseBytes reads a size: "1536", "1.5KiB", "10MB", "64k" (a single letter is binary).
func ParseBytes(field, s string) (int64, error) {
	bad := func() (int64, error) {
		return 0, errs.F("term.ParseBytes", field, errs.Invalid, "%q is no size: write bytes, or a number with KiB, MiB, GiB, TiB, KB, MB, GB or TB", s)
	}
	t := strings.ToUpper(strings.TrimSpace(s))
	i := strings.IndexFunc(t, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
	unit := ""
	if i >= 0 {
		t, unit = t[:i], strings.TrimSpace(t[i:])
	}
	factor := int64(1)
	if unit != "" && unit != "B" {
		p := strings.IndexByte("KMGTPE", unit[0])
		base := int64(1024)
		switch unit[1:] {
		case "", "IB":
		case "B":
			base = 1000
		default:
			return bad()
		}
		if p < 0 {
			return bad()
		}
		for range p + 1 {
			factor *= base
		}
	}
	if n, err := strconv.ParseInt(t, 10, 64); err == nil && n <= math.MaxInt64/factor {
		return n * factor, nil
	}
	f, err := strconv.ParseFloat(t, 64)
	if err != nil || f < 0 || f*float64(factor) > math.MaxInt64/2 {
		return bad()
	}
	return int64(f * float64(factor)), nil
}

// Count formats a number of things with thousands set apart: "11,345".
func Count(n int64) string {
	s := strconv.FormatInt(n, 10)
	neg := strings.HasPrefix(s, "-")
	s = strings.TrimPrefix(s, "-")
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	if neg {
		s = "-" + s
	}
	return s
}

// Plural is Count with a noun: "1 object", "2 objects".
func Plural(n int64, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return Count(n) + " " + noun
}

// Uptime formats a long time by its two largest parts: "3d4h", "5m12s".
func Uptime(d time.Duration) string {
	d = d.Round(time.Second)
	switch {
	case d >= 24*time.Hour:
		return fmt.Sprintf("%dd%dh", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
	case d >= time.Hour:
		return fmt.Sprintf("%dh%dm", d/time.Hour, d%time.Hour/time.Minute)
	case d >= time.Minute:
		return fmt.Sprintf("%dm%ds", d/time.Minute, d%time.Minute/time.Second)
	}
	return d.String()
}

// Latency formats a short time with three digits: "27.1us", "1.20ms".
func Latency(d time.Duration) string {
	switch {
	case d <= 0:
		return "-"
	case d < time.Microsecond:
		return strconv.FormatInt(int64(d), 10) + "ns"
	case d < time.Millisecond:
		return fmt.Sprintf("%.3gus", float64(d)/1e3)
	case d < time.Second:
		return fmt.Sprintf("%.3gms", float64(d)/1e6)
	}
	return fmt.Sprintf("%.3gs", d.Seconds())
}
