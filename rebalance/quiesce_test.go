package rebalance

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"aistore/errs"
)

// TestQuiesce waits for what is under way and lets nothing more begin.
func TestQuiesce(t *testing.T) {
	e := New(Config{Log: slog.New(slog.DiscardHandler)})
	for range 2 {
		if !e.flights.begin() {
			t.Fatal("nothing may begin")
		}
	}
	done := make(chan error, 1)
	go func() { done <- e.Quiesce(t.Context()) }()
	for e.flights.begin() { // until it has been heard
		e.flights.end()
	}
	e.flights.end()
	select {
	case err := <-done:
		t.Fatalf("it did not wait: %v", err)
	default:
	}
	e.flights.end()
	if err := <-done; err != nil {
		t.Error(err)
	}

	late := New(Config{Log: slog.New(slog.DiscardHandler)})
	late.flights.begin()
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := late.Quiesce(ctx); !errs.Is(err, errs.Timeout) {
		t.Errorf("after the limit: %v", err)
	}
}
