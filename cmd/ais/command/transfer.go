package command

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/urfave/cli/v2"

	"aistore/cmd/ais/term"
	"aistore/errs"
)

const maxWorkers = 256

func workersFlag() cli.Flag {
	return &cli.IntFlag{Name: "workers", Usage: "`N` transfers at the same time", DefaultText: "16, or twice the number of CPUs if that is more"}
}

// workers returns --workers within its bounds. The default hides the round trip and the disk's sync of small objects
// behind one another without starving a small machine.
func workers(c *cli.Context) (int, error) {
	n := c.Int("workers")
	if !c.IsSet("workers") {
		return max(16, 2*runtime.NumCPU()), nil
	}
	if n < 1 || n > maxWorkers {
		return 0, usageError("--workers %d is outside 1..%d", n, maxWorkers)
	}
	return n, nil
}

// item is one object of a transfer.
type item struct {
	key    string // of the object
	bucket uint64 // its id, where no cluster is asked
	path   string // of the file
	size   int64
	err    error // found out before the transfer: reported, not tried
}

// transfer runs one function over many items with bounded workers; it goes on when an item fails.
type transfer struct {
	a        *app
	verb     string // "put", "get"
	workers  int
	progress *term.Progress
	name     func(item) string // as errors call it
	do       func(ctx context.Context, it item, buf []byte) error

	failed   atomic.Int64
	hopeless atomic.Int64 // failures in a row that the next item will meet too
	mu       sync.Mutex   // guards errors
	errors   []itemError  // the first maxErrors
	quiet    bool         // the objects themselves go to standard output
}

// itemError is one failure, as --json shows it.
type itemError struct {
	Name  string `json:"name"`
	Error string `json:"error"`
	Kind  string `json:"kind"`
}

const (
	maxErrors   = 1000 // kept for --json
	shownErrors = 50   // printed
	itemBuffer  = 256 << 10
)

// run feeds the items that produce yields to the workers. Every worker has a buffer of itemBuffer bytes.
func (t *transfer) run(ctx context.Context, produce func(ctx context.Context, yield func(item) bool) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	items := make(chan item, t.workers)
	var wg sync.WaitGroup
	for range t.workers {
		wg.Go(func() {
			buf := make([]byte, itemBuffer)
			for it := range items {
				t.one(ctx, cancel, it, buf)
			}
		})
	}
	err := produce(ctx, func(it item) bool {
		select {
		case items <- it:
			return true
		case <-ctx.Done():
			return false
		}
	})
	close(items)
	wg.Wait()
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

func (t *transfer) one(ctx context.Context, cancel context.CancelCauseFunc, it item, buf []byte) {
	if ctx.Err() != nil {
		return
	}
	err := it.err
	if err == nil {
		err = t.do(ctx, it, buf)
	}
	if err == nil {
		t.hopeless.Store(0)
		t.progress.AddObject()
		return
	}
	if ctx.Err() != nil {
		return // cut off, not failed
	}
	t.fail(it, err)
	switch errs.KindOf(err) {
	case errs.NoBucket, errs.Unauthorized, errs.Forbidden:
		cancel(err)
	case errs.Unavailable, errs.Timeout, errs.Full, errs.Mountpath, errs.Busy:
		if t.hopeless.Add(1) >= int64(2*t.workers) {
			cancel(errs.E("", nil, errs.KindOf(err), "too many failures in a row, gave up", err))
		}
	}
}

func (t *transfer) fail(it item, err error) {
	n := t.failed.Add(1)
	name := t.name(it)
	t.mu.Lock()
	if len(t.errors) < maxErrors {
		t.errors = append(t.errors, itemError{name, message(err), errs.KindOf(err).String()})
	}
	t.mu.Unlock()
	switch {
	case t.a.out.JSON:
	case n <= shownErrors:
		t.a.out.Notef("%s %s: %s", t.a.out.PaintErr(term.Red, "failed:"), term.Printable(name), term.Printable(withoutName(message(err), name)))
	case n == shownErrors+1:
		t.a.out.Notef("(further failures are only counted)")
	}
}

// transferResult is what --json prints of work on several objects.
type transferResult struct {
	Verb    string      `json:"verb"`
	Objects int64       `json:"objects"`
	Bytes   int64       `json:"bytes,omitempty"`
	Failed  int64       `json:"failed"`
	Seconds float64     `json:"seconds"`
	Errors  []itemError `json:"errors,omitempty"` // the first thousand
}

// finish prints the result and turns failures into the error that the command ends with. where says what the objects
// went from and to.
func (t *transfer) finish(err error, where string) error {
	objects, bytes := t.progress.Counts()
	took := t.progress.Elapsed()
	failed := t.failed.Load()
	switch {
	case t.quiet:
	case t.a.out.JSON:
		if err := t.a.out.Value(transferResult{t.verb, objects, bytes, failed, took.Seconds(), t.errors}); err != nil {
			return err
		}
	case objects > 0 || err == nil:
		t.a.out.Printf("%s: %s%s %s", t.verb, term.Plural(objects, "object"), t.rate(objects, bytes, took), where)
	}
	if err == nil && failed > 0 {
		return partialError{verb: t.verb, failed: failed, done: objects}
	}
	return err
}

// rate tells how much was moved and how fast; nothing for verbs that move no bytes.
func (t *transfer) rate(objects, bytes int64, took time.Duration) string {
	if bytes == 0 {
		return ""
	}
	per := max(took.Seconds(), 1e-3)
	return fmt.Sprintf(" (%s in %v: %s/s, %s/s)", t.a.out.Units.Bytes(bytes), took.Round(time.Millisecond),
		t.a.out.Units.Bytes(int64(float64(bytes)/per)), term.Plural(int64(float64(objects)/per), "object"))
}

// withoutName drops the name from the front of an error's text, where it was printed already.
func withoutName(text, name string) string {
	return strings.TrimPrefix(text, name+": ")
}
