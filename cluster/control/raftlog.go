package control

import (
	"context"
	"fmt"
	"io"
	"log/slog"

	"github.com/hashicorp/go-hclog"
)

// raftLogger passes what the raft library logs on to slog, more quietly: it calls every connection that
// breaks an error, and elections are reported by package control itself.
func raftLogger(ctx context.Context, log *slog.Logger) hclog.Logger {
	l := hclog.NewInterceptLogger(&hclog.LoggerOptions{Name: "raft", Level: hclog.Off, Output: io.Discard})
	l.RegisterSink(slogSink{ctx, log})
	return l
}

type slogSink struct {
	ctx context.Context // the library passes none
	log *slog.Logger
}

// Accept implements hclog.SinkAdapter.
func (s slogSink) Accept(_ string, level hclog.Level, msg string, args ...any) {
	to := slog.LevelDebug
	if level >= hclog.Error {
		to = slog.LevelInfo
	}
	for i, a := range args {
		if f, ok := a.(hclog.Format); ok && len(f) > 0 {
			args[i] = fmt.Sprintf(fmt.Sprint(f[0]), f[1:]...)
		}
	}
	if s.log.Enabled(s.ctx, to) {
		s.log.Log(s.ctx, to, "raft: "+msg, args...)
	}
}
