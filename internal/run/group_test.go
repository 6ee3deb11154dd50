package run

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func untilDone(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestFirstErrorStopsAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGroup(t.Context())
		disk := errors.New("disk on fire")
		var stopped atomic.Int32
		for range 3 {
			g.Go("loop", func(ctx context.Context) error {
				<-ctx.Done()
				stopped.Add(1)
				if cause := context.Cause(ctx); !errors.Is(cause, disk) {
					t.Errorf("cause is %v", cause)
				}
				return errors.New("a later failure")
			})
		}
		g.Go("disk", func(context.Context) error {
			time.Sleep(time.Second)
			return disk
		})
		err := g.Wait()
		if !errors.Is(err, disk) || err.Error() != "disk: disk on fire" {
			t.Errorf("Wait returned %v", err)
		}
		if n := stopped.Load(); n != 3 {
			t.Errorf("%d of 3 loops had returned", n)
		}
	})
}

func TestToldToStopIsSuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		g := NewGroup(ctx)
		g.Go("quits early", func(context.Context) error { return nil })
		g.Go("serves", untilDone)
		g.Go("has a part", func(ctx context.Context) error {
			inner := NewGroup(ctx)
			inner.Go("serves", untilDone)
			return inner.Wait()
		})
		synctest.Wait()
		if g.Context().Err() != nil {
			t.Fatal("a part that returned nil stopped the group")
		}
		cancel()
		if err := g.Wait(); err != nil {
			t.Errorf("Wait returned %v", err)
		}
	})
}

func TestOwnCancellationIsFailure(t *testing.T) {
	g := NewGroup(t.Context())
	g.Go("a", func(context.Context) error { return context.Canceled })
	if err := g.Wait(); !errors.Is(err, context.Canceled) {
		t.Errorf("Wait returned %v: nobody told the part to stop", err)
	}
}

func TestWaitEndsContext(t *testing.T) {
	g := NewGroup(t.Context())
	if err := g.Wait(); err != nil || g.Context().Err() == nil {
		t.Errorf("after Wait: error %v, context %v", err, g.Context().Err())
	}
}

func TestPanicBecomesError(t *testing.T) {
	cause := errors.New("index out of luck")
	for name, f := range map[string]func(context.Context) error{
		"value":  func(context.Context) error { panic("index out of luck") },
		"error":  func(context.Context) error { panic(cause) },
		"goexit": func(context.Context) error { runtime.Goexit(); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			g := NewGroup(t.Context())
			g.Go("serves", untilDone)
			g.Go("faulty", f)
			err := g.Wait()
			if name == "goexit" {
				if err == nil || !strings.HasPrefix(err.Error(), "faulty: BUG: ") {
					t.Errorf("Wait returned %v", err)
				}
				return
			}
			var p *Panic
			if !errors.As(err, &p) || !strings.Contains(err.Error(), "faulty: BUG: panic: index out of luck") ||
				!strings.Contains(err.Error(), "TestPanicBecomesError") {
				t.Errorf("Wait returned %v", err)
			}
			if name == "error" && !errors.Is(err, cause) {
				t.Error("the cause is lost")
			}
		})
	}
}

func TestPartsMayStartParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGroup(t.Context())
		late := false
		g.Go("first", func(context.Context) error {
			g.Go("second", func(context.Context) error {
				time.Sleep(time.Minute)
				late = true
				return nil
			})
			return nil
		})
		if err := g.Wait(); err != nil || !late {
			t.Errorf("Wait returned %v, second part over: %v", err, late)
		}
	})
}

// stuckHere is the function whose name must be in the report.
func stuckHere(release <-chan struct{}) { <-release }

func TestSlowStopperIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var out bytes.Buffer
		log := slog.New(slog.NewTextHandler(&out, nil))
		release := make(chan struct{})

		g := NewGroup(ctx)
		g.Log, g.Grace = log, time.Second
		g.Go("quick", untilDone)
		g.Go("outer", func(ctx context.Context) error {
			inner := NewGroup(ctx)
			inner.Log, inner.Grace = log, time.Hour
			inner.Go("stuck", func(context.Context) error {
				stuckHere(release)
				return nil
			})
			return inner.Wait()
		})
		cancel()
		go func() {
			time.Sleep(1500 * time.Millisecond) // past the first report, before the second
			close(release)
		}()
		if err := g.Wait(); err != nil {
			t.Errorf("Wait returned %v", err)
		}
		report := out.String()
		if strings.Count(report, "slow to stop") != 1 || !strings.Contains(report, "part=outer waited=1s") {
			t.Errorf("report: %s", report)
		}
		if !strings.Contains(report, "stuckHere") {
			t.Errorf("the stack of the part within is not in the report: %s", report)
		}
		if strings.Contains(report, "part=quick") {
			t.Errorf("a part that stopped at once is reported: %s", report)
		}
	})
}
