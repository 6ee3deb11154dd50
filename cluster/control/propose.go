package control

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"sort"
	"strings"
	"sync"
	"time"

	"aistore/cluster"
	"aistore/errs"
	"aistore/httpx"
)

// Propose has cmd committed by the primary, wherever that is. It returns when a majority of the voters has
// it on disk and every live node has the change in its view or may no longer serve; this node has it too.
// It may be called on any node. A change is made once, however often its answer was lost on the way.
//
// Without a primary it waits up to Timing.GiveUp for one and then is Unavailable: a minority changes nothing.
func (c *Control) Propose(ctx context.Context, cmd cluster.Command) (cluster.Result, error) {
	const op = "control.Propose"
	var b [12]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	id := hex.EncodeToString(b[:])
	body, err := cluster.EncodeEntry(cluster.Entry{ID: id, By: c.cfg.Self.ID, Command: cmd})
	if err != nil {
		return cluster.Result{}, err
	}
	var res cluster.Result
	err = c.withPrimary(ctx, func(ctx context.Context, r *reign, addr string) (err error) {
		if r != nil {
			res, err = r.propose(ctx, id, cmd)
			return err
		}
		res, err = c.proposeAt(ctx, addr, body)
		return err
	})
	if err != nil {
		return cluster.Result{}, err
	}
	if _, err := c.views.wait(ctx, res.Index); err != nil {
		return res, errs.F(op, cmd.Op(), errs.Timeout, "is committed, but not known to this node yet: %w", err)
	}
	return res, nil
}

func (c *Control) proposeAt(ctx context.Context, addr string, body []byte) (cluster.Result, error) {
	var res cluster.Result
	rep, err := c.cfg.Client.Do(ctx, &httpx.Call{Method: "POST", URL: "http://" + addr + pathPropose, Body: body})
	if err != nil {
		var f *httpx.Fault
		if errors.As(err, &f) { // the primary's own words: where it is reached is no news to a user
			err = errs.E("", nil, errs.KindOf(err), f)
		}
		return res, err
	}
	b, err := rep.ReadAll(maxMessage)
	if err != nil {
		return res, err
	}
	return res, unmarshal(b, &res)
}

// Latest returns a view that shows every change acknowledged, anywhere, before the call. Ask it before
// answering that something does not exist.
func (c *Control) Latest(ctx context.Context) (*cluster.View, error) {
	var index uint64
	err := c.withPrimary(ctx, func(ctx context.Context, r *reign, addr string) error {
		if r != nil {
			index = r.m.fsm.machine().Index
			return r.ver.do(ctx)
		}
		var rep latestReply
		url := "http://" + addr + pathLatest + "?" + sinceQuery(c.View().Since()).Encode()
		if err := c.call(ctx, c.cfg.Timing.GiveUp, "GET", url, nil, &rep); err != nil {
			return err
		}
		index = rep.Index
		return c.take(rep.Update)
	})
	if err != nil {
		return nil, err
	}
	v, err := c.views.wait(ctx, index)
	if err != nil {
		return nil, errs.E("control.Latest", "view", err)
	}
	return v, nil
}

// withPrimary runs try against the primary: r if that is this node, else addr. It tries again when the
// primary changes, or turns out to be none.
func (c *Control) withPrimary(ctx context.Context, try func(ctx context.Context, r *reign, addr string) error) error {
	giveUp := c.clock().Add(c.cfg.Timing.GiveUp)
	var last error
	for {
		l, changed := c.leader.get()
		r := c.reign.Load()
		if r != nil || l != nil && l.id != c.cfg.Self.ID {
			actx, cancel := context.WithCancel(ctx)
			stop := cancelOn(actx, changed, cancel)
			addr := ""
			if l != nil {
				addr = l.addr
			}
			err := try(actx, r, addr)
			cancel()
			stop()
			if err == nil || ctx.Err() == nil && !errs.Is(err, errs.NotPrimary, errs.Unavailable, errs.Timeout, errs.Canceled) {
				return err
			}
			last = err
		}
		if ctx.Err() == nil && c.clock().Before(giveUp) {
			t := time.NewTimer(50 * time.Millisecond)
			select {
			case <-changed:
			case <-t.C:
			case <-ctx.Done():
			}
			t.Stop()
			continue
		}
		return c.noPrimary(ctx, last)
	}
}

// cancelOn cancels when ch is closed; the returned function waits until it does not look any more.
func cancelOn(ctx context.Context, ch <-chan struct{}, cancel context.CancelFunc) (stop func()) {
	var wg sync.WaitGroup
	wg.Go(func() {
		select {
		case <-ch:
			cancel()
		case <-ctx.Done():
		}
	})
	return wg.Wait
}

// noPrimary says why nothing can be changed or confirmed now: which voters answer and which do not.
func (c *Control) noPrimary(ctx context.Context, last error) error {
	const op = "control.Propose"
	v := c.View()
	if v == nil {
		return errs.E(op, "cluster", errs.Unavailable, "this node does not belong to a cluster yet")
	}
	if err := ctx.Err(); err != nil && (last == nil || errs.Is(last, errs.Timeout, errs.Canceled)) {
		last = err
	}
	answer, silent := c.voters(ctx, v)
	n := len(answer) + len(silent)
	why := fmt.Sprintf("%d of %d voters answer (%s)", len(answer), n, strings.Join(answer, ", "))
	if len(silent) > 0 {
		why += ", not " + strings.Join(silent, ", ")
	}
	if last != nil {
		why += ": " + last.Error()
	}
	if len(answer) <= n/2 {
		why += "; if most are lost for good, see ais advanced recover-cluster --help"
	}
	return errs.F(op, "primary", errs.Unavailable, "there is none within reach, and a change needs %d voters: %s", n/2+1, why)
}

// voters asks every voter whether it is there, all at once and briefly.
func (c *Control) voters(ctx context.Context, v *cluster.View) (answer, silent []string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 500*time.Millisecond)
	defer cancel()
	var mu sync.Mutex
	var wg sync.WaitGroup
	for id := range v.Map.Voters() {
		wg.Go(func() {
			err := error(nil)
			if id != c.cfg.Self.ID {
				err = c.call(ctx, time.Second, "GET", "http://"+c.book.addr(id)+pathView+"?after=0&ping=1", nil, nil)
			}
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				silent = append(silent, string(id))
			} else {
				answer = append(answer, string(id))
			}
		})
	}
	wg.Wait()
	sort.Strings(answer)
	sort.Strings(silent)
	return answer, silent
}
