package main

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestPlan(t *testing.T) {
	plan, err := newPlan(options{concurrency: "1, 32", sizes: "4KiB,64KiB,1MiB", ops: "start,get,put,list,delete", names: 500})
	if err != nil {
		t.Fatal(err)
	}
	two := []int{1, 32}
	want := []group{
		{"put", "4KiB", two, 10_000}, {"put", "64KiB", two, 3200}, {"put", "1MiB", two, 200},
		{"get", "4KiB", two, 10_000}, {"get", "64KiB", two, 3200}, {"get", "1MiB", two, 200},
		{"delete", "4KiB", two, 10_000}, {"list", "100", []int{1}, 500},
	}
	if !reflect.DeepEqual(plan, want) {
		t.Errorf("plan %+v", plan)
	}
	for _, o := range []options{{concurrency: "x", ops: "put"}, {concurrency: "0", ops: "put"}, {concurrency: "1", ops: "fly"}, {concurrency: "1", ops: "put", sizes: "4 elephants"}} {
		if _, err := newPlan(o); err == nil {
			t.Errorf("accepted %+v", o)
		}
	}
}

func TestRounds(t *testing.T) {
	b := &bench{o: options{rounds: 2}}
	if got, want := b.inTurn("get"), []string{viaWWW, viaPeer, direct, gateway, viaWWW, viaPeer, direct, gateway}; !slices.Equal(got, want) {
		t.Errorf("get: %q, want %q", got, want)
	}
	if got, want := b.inTurn("put"), []string{direct, gateway, direct, gateway, viaWWW, viaPeer, viaWWW, viaPeer}; !slices.Equal(got, want) {
		t.Errorf("put: %q, want %q", got, want)
	}
	var reports [3]report
	for i, n := range []float64{7, 1, 3} {
		reports[i].Total.PerSecond, reports[i].ServerCPU = n, -n
	}
	var c Cell
	if c.take(&reports[0], &reports[1], &reports[2]); c.PerSecond != 3 || c.ServerCPU != -3 {
		t.Errorf("%+v is no median", c)
	}
}

func TestTable(t *testing.T) {
	r := Result{Machine: "m", Began: time.Now(), Notes: []string{"a note"}, Cells: []Cell{
		{Op: "get", Size: "4KiB", Concurrency: 8, Route: viaWWW, PerSecond: 1000, ServerCPU: 10},
		{Op: "get", Size: "4KiB", Concurrency: 8, Route: direct, PerSecond: 750, ServerCPU: 25},
		{Op: "get", Size: "4KiB", Concurrency: 8, Route: gateway, PerSecond: 50.5, ServerCPU: 0},
	}, Starts: []StartResult{{"empty", 300 * time.Millisecond, 50 << 20}, {"empty", 100 * time.Millisecond, 0}, {"empty", 200 * time.Millisecond, 0}}}
	compare(r.Cells)
	var text, raw strings.Builder
	if err := r.print(&text, false); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"a note", "0.75", "2.50", "50.50", "ready in 0.20 s (median of 3, longest 0.30 s), RSS then at most 50 MiB"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("%q is not in\n%s", want, text.String())
		}
	}
	if err := r.print(&raw, true); err != nil {
		t.Fatal(err)
	}
	var back Result
	if err := json.Unmarshal([]byte(raw.String()), &back); err != nil || back.Cells[1].CPURatio != 2.5 || back.Cells[0].Ratio != 0 {
		t.Errorf("%+v, %v", back, err)
	}
}
