package client

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"aistore/api"
	"aistore/errs"
)

// TestWaitSuperseded: who waits for a rebalance in the middle of which another began is told which, and does not take it for ended.
func TestWaitSuperseded(t *testing.T) {
	f := newFake(t, 1, 1)
	polls := 0
	f.setFault("g0", func(w http.ResponseWriter, r *http.Request) bool {
		switch r.URL.Query().Get(api.QueryWhat) {
		case api.WhatStatus:
			s := api.JobStatus{UUID: "g4", Kind: api.KindRebalance}
			if polls++; polls > 2 {
				s.Aborted, s.EndTime, s.Superseded = true, 1, "g5"
			}
			_ = json.NewEncoder(w).Encode(s)
		case api.WhatJobStats:
			_, _ = w.Write([]byte("{}"))
		default:
			return false
		}
		return true
	})
	err := f.client(nil).Job("g4").Wait(t.Context())
	if !errs.Is(err, errs.Conflict) || !strings.Contains(err.Error(), "g4: was superseded by g5") || polls != 3 {
		t.Errorf("after %d questions: %v", polls, err)
	}
}

// TestWaitAborted: a job that some targets have given up has not ended before the others have.
func TestWaitAborted(t *testing.T) {
	f := newFake(t, 1, 1)
	polls := 0
	f.setFault("g0", func(w http.ResponseWriter, r *http.Request) bool {
		switch r.URL.Query().Get(api.QueryWhat) {
		case api.WhatStatus:
			s := api.JobStatus{UUID: "j", Kind: api.ActCopyBucket, Aborted: true, Err: "stopped on request"}
			if polls++; polls > 2 {
				s.EndTime = 1
			}
			_ = json.NewEncoder(w).Encode(s)
		case api.WhatJobStats:
			_ = json.NewEncoder(w).Encode(map[string][]api.JobSnap{"t0": {{ID: "j", Idle: true, Aborted: true}}, "t1": {{ID: "j"}}})
		default:
			return false
		}
		return true
	})
	if err := f.client(nil).Job("j").Wait(t.Context()); !errs.Is(err, errs.Canceled) || polls != 3 {
		t.Errorf("after %d questions: %v", polls, err)
	}
}
