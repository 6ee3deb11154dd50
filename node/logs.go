package node

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"sync"
)

// keptLog is how much of the log a node keeps in memory for what=log.
const keptLog = 1 << 20

// Logs is the node's log: written to a stream, and its end kept in a ring for queries.
type Logs struct {
	log   *slog.Logger
	level *slog.LevelVar
	own   slog.Level // the node's configuration

	mu   sync.Mutex
	out  io.Writer
	ring []byte
	next int  // where the next byte goes
	full bool // the ring has been filled once
}

// NewLogs returns a log that writes to out. Level is debug, info, warn or error; format text or json.
func NewLogs(out io.Writer, level, format string) (*Logs, error) {
	l := &Logs{level: new(slog.LevelVar), out: out, ring: make([]byte, 0, 4096)}
	var err error
	if l.own, err = parseLevel(level); err != nil {
		return nil, err
	}
	l.level.Set(l.own)
	opts := &slog.HandlerOptions{Level: l.level}
	switch format {
	case "text", "":
		l.log = slog.New(slog.NewTextHandler(l, opts))
	case "json":
		l.log = slog.New(slog.NewJSONHandler(l, opts))
	default:
		return nil, fmt.Errorf("log format %q is unknown: use text or json", format)
	}
	return l, nil
}

// Logger returns the logger.
func (l *Logs) Logger() *slog.Logger { return l.log }

// Follow takes the cluster's level over, unless the node was given another one than the default.
func (l *Logs) Follow(level string) {
	if lv, err := parseLevel(level); err == nil && l.own == slog.LevelInfo {
		l.level.Set(lv)
	}
}

func parseLevel(s string) (slog.Level, error) {
	switch s {
	case "debug":
		return slog.LevelDebug, nil
	case "info", "":
		return slog.LevelInfo, nil
	case "warn":
		return slog.LevelWarn, nil
	case "error":
		return slog.LevelError, nil
	}
	return 0, fmt.Errorf("log level %q is unknown: use debug, info, warn or error", s)
}

// Write takes one line of the log.
func (l *Logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.keep(p)
	return l.out.Write(p)
}

func (l *Logs) keep(p []byte) {
	if !l.full { // grows to its size: most nodes log little
		room := keptLog - len(l.ring)
		n := min(room, len(p))
		l.ring = append(l.ring, p[:n]...)
		l.full = len(l.ring) == keptLog
		p = p[n:]
	}
	for len(p) > 0 {
		n := copy(l.ring[l.next:], p)
		l.next = (l.next + n) % keptLog
		p = p[n:]
	}
}

// Tail returns the last lines, oldest first, of at least a severity: "info" or "" is all, "warning", "error".
func (l *Logs) Tail(severity string) []byte {
	l.mu.Lock()
	b := append(bytes.Clone(l.ring[l.next:]), l.ring[:l.next]...)
	l.mu.Unlock()
	if l.full {
		_, b, _ = bytes.Cut(b, []byte("\n")) // the oldest line is cut in two
	}
	var want [][]byte
	switch severity {
	case "warning", "warn", "w":
		want = [][]byte{[]byte("WARN"), []byte("ERROR")}
	case "error", "err", "e":
		want = [][]byte{[]byte("ERROR")}
	default:
		return b
	}
	var out []byte
	for line := range bytes.Lines(b) {
		for _, w := range want {
			if bytes.Contains(line, append([]byte("level="), w...)) || bytes.Contains(line, append([]byte(`"level":"`), w...)) {
				out = append(out, line...)
				break
			}
		}
	}
	return out
}
