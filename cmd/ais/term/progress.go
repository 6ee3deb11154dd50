package term

import (
	"context"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// Progress counts the objects and bytes of a transfer and, on a terminal, shows both as bars on standard error.
// Counting costs two atomic additions, so any number of workers may report every chunk.
type Progress struct {
	objects, bytes         atomic.Int64
	wantObjects, wantBytes int64
	o                      *Out
	bars                   *mpb.Progress
	objectBar, byteBar     *mpb.Bar
	rate                   atomic.Int64 // bytes/s, smoothed
	began                  time.Time
	stop                   chan struct{}
	ended                  sync.WaitGroup
}

// Transfer says what a Progress is about.
type Transfer struct {
	Objects int64 // expected; one object gets no bar of its own
	Bytes   int64
}

// smallTransfer ends before anybody could look at a bar.
const smallTransfer = 8 << 20

// Shows reports whether a transfer will have bars, and so whether it pays to count beforehand.
func (o *Out) Shows() bool { return o.errTTY && !o.JSON }

// StartProgress begins to count, and to show if this is a terminal and the transfer not a small one. End it with Done.
func (o *Out) StartProgress(ctx context.Context, t Transfer) *Progress {
	p := &Progress{o: o, wantObjects: t.Objects, wantBytes: t.Bytes, began: time.Now()}
	if !o.Shows() || t.Objects <= 1 && t.Bytes < smallTransfer {
		return p
	}
	p.bars = mpb.NewWithContext(ctx, mpb.WithOutput(o.err), mpb.WithWidth(48), mpb.WithRefreshRate(100*time.Millisecond))
	if t.Objects > 1 {
		p.objectBar = p.bar("Objects", t.Objects, func(s decor.Statistics) string {
			return fmt.Sprintf("%s/%s", Count(s.Current), Count(s.Total))
		}, func(decor.Statistics) string { return "" })
	}
	if t.Bytes > 0 { // else not known
		p.byteBar = p.bar("Bytes", t.Bytes, func(s decor.Statistics) string {
			return fmt.Sprintf("%s/%s", o.Units.Bytes(s.Current), o.Units.Bytes(s.Total))
		}, p.speed)
	}
	o.mu.Lock()
	o.screen = p.bars
	o.mu.Unlock()
	p.stop = make(chan struct{})
	p.ended.Go(p.follow)
	return p
}

func (p *Progress) bar(name string, total int64, amount, tail func(decor.Statistics) string) *mpb.Bar {
	style := mpb.BarStyle().Lbound("[").Filler("=").Tip(">").Padding("-").Rbound("]")
	if p.o.errColor {
		green := func(s string) string { return paint(true, Green, s) }
		style = style.FillerMeta(green).TipMeta(green)
	}
	return p.bars.New(max(total, 1), style,
		mpb.PrependDecorators(
			decor.Name(p.o.PaintErr(Bold, name), decor.WCSyncSpaceR),
			decor.Any(amount, decor.WCSyncWidth),
		),
		mpb.AppendDecorators(decor.Percentage(decor.WC{W: 5}), decor.Any(tail)),
	)
}

// speed is what stands behind the bar of bytes.
func (p *Progress) speed(s decor.Statistics) string {
	r := p.rate.Load()
	if r <= 0 || s.Completed {
		return ""
	}
	left := time.Duration(float64(s.Total-s.Current) / float64(r) * float64(time.Second))
	return fmt.Sprintf("  %s/s  ETA %s", p.o.Units.Bytes(r), Uptime(max(left, 0)))
}

// follow moves the bars until Done.
func (p *Progress) follow() {
	const every = 100 * time.Millisecond
	tick := time.NewTicker(every)
	defer tick.Stop()
	var before int64
	for {
		select {
		case <-p.stop:
			return
		case <-tick.C:
		}
		now := p.bytes.Load()
		current := float64(now-before) / every.Seconds()
		before = now
		if r := p.rate.Load(); r > 0 {
			current = 0.9*float64(r) + 0.1*current
		}
		p.rate.Store(int64(current))
		p.move()
	}
}

// move sets the bars, short of complete: an object is done when its reply is here, not when its bytes are sent.
func (p *Progress) move() {
	if p.objectBar != nil {
		p.objectBar.SetCurrent(min(p.objects.Load(), max(p.wantObjects-1, 0)))
	}
	if p.byteBar != nil {
		p.byteBar.SetCurrent(min(p.bytes.Load(), max(p.wantBytes-1, 0)))
	}
}

// AddBytes counts n more bytes moved; a retry takes its own back with a negative n.
func (p *Progress) AddBytes(n int64) { p.bytes.Add(n) }

// AddObject counts one more object done.
func (p *Progress) AddObject() { p.objects.Add(1) }

// SetObjects says how many objects are done, where somebody else counts them.
func (p *Progress) SetObjects(n int64) { p.objects.Store(n) }

// Elapsed is the time since the start.
func (p *Progress) Elapsed() time.Duration { return time.Since(p.began) }

// Counts returns what was done so far.
func (p *Progress) Counts() (objects, bytes int64) { return p.objects.Load(), p.bytes.Load() }

// Done ends the bars: full if everything expected has happened, else standing where they are.
func (p *Progress) Done() {
	if p.bars == nil {
		return
	}
	close(p.stop)
	p.ended.Wait()
	p.end(p.objectBar, p.objects.Load(), p.wantObjects)
	p.end(p.byteBar, p.bytes.Load(), p.wantBytes)
	p.bars.Wait()
	p.o.mu.Lock()
	p.o.screen = nil
	p.o.mu.Unlock()
}

func (p *Progress) end(bar *mpb.Bar, is, want int64) {
	switch {
	case bar == nil:
	case is >= want && p.objects.Load() >= p.wantObjects:
		bar.SetCurrent(max(want, 1)) // SetTotal would do nothing on a bar that was made with a total
	default:
		bar.SetCurrent(min(is, max(want-1, 0)))
		bar.Abort(false)
	}
}

// Reader counts what is read through it.
func (p *Progress) Reader(r io.Reader) io.Reader { return &countingReader{r, p} }

// Writer counts what is written through it.
func (p *Progress) Writer(w io.Writer) io.Writer { return &countingWriter{w, p} }

type countingReader struct {
	r io.Reader
	p *Progress
}

func (c *countingReader) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.p.AddBytes(int64(n))
	return n, err
}

type countingWriter struct {
	w io.Writer
	p *Progress
}

func (c *countingWriter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.p.AddBytes(int64(n))
	return n, err
}
