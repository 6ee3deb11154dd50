package command

import (
	"context"
	"log/slog"
	"sync"

	"aistore/cmd/ais/term"
)

// tellAfter is how often a request has failed when people are told: after about a second, where most is over that ends by itself.
const tellAfter = 5

// repeated hears of the client's log alone that a request is sent again and again, and tells it once: whoever sits at a terminal would take the
// command for hanging, as that may go on for half a minute.
type repeated struct {
	once *sync.Once
	tell func(why error)
}

// repetitions returns the log for the client of a command. It says nothing where nobody looks on.
func (a *app) repetitions() *slog.Logger {
	return slog.New(repeated{new(sync.Once), func(why error) {
		if a.out.Shows() {
			a.out.Notef("waiting: %s; tried again until it succeeds or takes too long, Ctrl-C ends it", term.Printable(message(why)))
		}
	}})
}

// Enabled implements slog.Handler.
func (repeated) Enabled(context.Context, slog.Level) bool { return true }

// Handle implements slog.Handler.
func (r repeated) Handle(_ context.Context, line slog.Record) error {
	var attempt int64
	var why error
	line.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "attempt":
			attempt = a.Value.Int64()
		case "err":
			why, _ = a.Value.Any().(error)
		}
		return true
	})
	if attempt >= tellAfter && why != nil {
		r.once.Do(func() { r.tell(why) })
	}
	return nil
}

// WithAttrs implements slog.Handler.
func (r repeated) WithAttrs([]slog.Attr) slog.Handler { return r }

// WithGroup implements slog.Handler.
func (r repeated) WithGroup(string) slog.Handler { return r }
