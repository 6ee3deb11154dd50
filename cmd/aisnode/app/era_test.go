package app

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// TestWatchAside: the alert goes when nothing is there any more, and a disk that hangs does not keep the node from ending.
func TestWatchAside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var alert atomic.Pointer[string]
		text := "something is there"
		alert.Store(&text)
		looks := 0
		if err := watch(t.Context(), &alert, func() *string {
			if looks++; looks < 3 {
				return &text
			}
			return nil
		}); err != nil || looks != 3 {
			t.Errorf("%v after %d looks", err, looks)
		}

		alert.Store(&text)
		ctx, end := context.WithCancel(t.Context())
		answer := make(chan struct{})
		ended := make(chan error, 1)
		hangs := make(chan struct{})
		go func() {
			ended <- watch(ctx, &alert, func() *string { close(hangs); <-answer; return nil })
		}()
		<-hangs
		end()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		close(answer)
	})
}
