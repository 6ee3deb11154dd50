package control

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"aistore/cluster"
	"aistore/errs"
	"aistore/httpx"
)

// Routes returns what this node serves to others. All but join-info are for the intra-cluster listener.
func (c *Control) Routes() []httpx.Route {
	intra := func(method, path, op string, body int64, h httpx.Handler) httpx.Route {
		// Heartbeats and views keep the cluster together: they are not refused under load.
		return httpx.Route{Method: method, Path: path, Op: op, Handler: h,
			Policy: httpx.Policy{Listener: httpx.Intra, Class: httpx.ClassHealth, MaxBody: body}}
	}
	s := service{c}
	return []httpx.Route{
		intra("POST", pathHeartbeat, "heartbeat", maxMessage, s.serveHeartbeat),
		intra("GET", pathView, "follow-view", 0, s.serveView),
		intra("POST", pathPropose, "propose", maxMessage, s.servePropose),
		intra("GET", pathLatest, "latest-view", 0, s.serveLatest),
		intra("POST", pathJoin, "join", maxMessage, s.serveJoin),
		intra("POST", pathVoter, "invite-voter", 0, s.serveInvite),
		intra("GET", pathVoter, "voter-caught-up", 0, s.serveCaughtUp),
		intra("GET", pathConfirm, "confirm-primary", 0, s.serveConfirm),
		intra("GET", pathNodes, "node-health", 0, s.serveNodes),
		{Method: "GET", Path: pathJoinInfo, Op: "join-info", Handler: s.serveJoinInfo,
			Policy: httpx.Policy{Listener: httpx.Public, Class: httpx.ClassControl}},
	}
}

// service is what this node does for others.
type service struct{ *Control }

// call sends one request to another node, within limit.
func (c *Control) call(ctx context.Context, limit time.Duration, method, url string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return c.cfg.Client.JSON(ctx, method, url, in, out)
}

func unmarshal(b []byte, into any) error {
	if err := json.Unmarshal(b, into); err != nil {
		return errs.F("control.call", "reply", errs.Other, "is not the JSON that is wanted: %w", err)
	}
	return nil
}

func (c service) serveHeartbeat(x *httpx.Ctx) error {
	var hb heartbeat
	if err := x.ReadJSON(maxMessage, &hb); err != nil {
		return err
	}
	if err := cluster.CheckNodeID(hb.Node.ID); err != nil {
		return err
	}
	return x.JSON(c.answer(x.Context(), hb))
}

func since(x *httpx.Ctx) cluster.Since {
	n := func(key string) uint64 {
		v, _ := strconv.ParseUint(x.Query(key), 10, 64) // absent: has nothing
		return v
	}
	return cluster.Since{Index: n("after"), Map: n("map"), Buckets: n("buckets"), Config: n("config"), Users: n("users")}
}

// serveView answers with what is newer than the asker's view, as soon as there is something.
func (c service) serveView(x *httpx.Ctx) error {
	if x.HasQuery("ping") {
		return x.JSON(struct{}{})
	}
	from := since(x)
	hold, err := time.ParseDuration(x.Query("wait"))
	if err != nil {
		return errs.F("control.serveView", "wait", errs.Invalid, "%q is not a duration", x.Query("wait"))
	}
	t := time.NewTimer(min(hold, time.Minute))
	defer t.Stop()
	ctx := x.Context()
	for v := c.View(); v == nil || v.Index <= from.Index; v = c.View() {
		select {
		case <-c.Watch(from.Index):
			continue
		case <-t.C:
		case <-ctx.Done():
			return ctx.Err()
		case <-c.stopped:
		}
		break
	}
	v := c.View()
	if v == nil {
		return errs.E("control.serveView", "view", errs.Unavailable, "this node does not belong to a cluster yet")
	}
	if v.Index <= from.Index {
		return x.JSON(cluster.Update{Index: v.Index, UUID: v.Map.UUID})
	}
	return x.JSON(v.Update(from))
}

// primary returns the reign, or an error that tells the caller to ask elsewhere.
func (c service) primary() (*reign, error) {
	if r := c.reign.Load(); r != nil {
		return r, nil
	}
	return nil, errs.E("control.primary", string(c.cfg.Self.ID), errs.NotPrimary, "is not the primary")
}

func (c service) servePropose(x *httpx.Ctx) error {
	b, err := x.ReadAll(maxMessage)
	if err != nil {
		return err
	}
	e, err := cluster.DecodeEntry(b)
	if err != nil {
		return errs.E("control.servePropose", "proposal", errs.Invalid, err)
	}
	r, err := c.primary()
	if err != nil {
		return err
	}
	res, err := r.propose(x.Context(), e.ID, e.Command)
	if err != nil {
		return err
	}
	return x.JSON(res)
}

func (c service) serveLatest(x *httpx.Ctx) error {
	r, err := c.primary()
	if err != nil {
		return err
	}
	rep := latestReply{Index: r.m.fsm.machine().Index}
	if err := r.ver.do(x.Context()); err != nil {
		return err
	}
	v, err := c.views.wait(x.Context(), rep.Index)
	if err != nil {
		return err
	}
	rep.Update = v.Update(since(x))
	return x.JSON(rep)
}

func (c service) serveJoin(x *httpx.Ctx) error {
	var req joinRequest
	if err := x.ReadJSON(maxMessage, &req); err != nil {
		return err
	}
	res, err := c.Propose(x.Context(), cluster.Join{UUID: req.UUID, Node: req.Node})
	if err != nil {
		return err
	}
	v, err := c.views.wait(x.Context(), res.Index)
	if err != nil {
		return err
	}
	return x.JSON(v.Update(cluster.Since{}))
}

func (c service) serveInvite(x *httpx.Ctx) error {
	c.invited.Add(1) // before anything: an older word that the log may go is void
	id, err := c.takeSeat(x.Context(), false)
	if err != nil {
		return err
	}
	return x.JSON(voterReply{LogID: id, Boot: c.boot})
}

// serveCaughtUp answers once this node's copy of the log reaches an index.
func (c service) serveCaughtUp(x *httpx.Ctx) error {
	const op = "control.serveCaughtUp"
	index, err := strconv.ParseUint(x.Query("index"), 10, 64)
	if err != nil {
		return errs.F(op, "index", errs.Invalid, "%q is not a number", x.Query("index"))
	}
	look := time.NewTicker(25 * time.Millisecond) // the library does not tell when the log grows; this lasts for moments
	defer look.Stop()
	ctx := x.Context()
	for {
		m := c.member.Load()
		if m == nil || string(m.id) != x.Query("id") {
			return errs.F(op, x.Query("id"), errs.Conflict, "is not this node's copy of the log")
		}
		if m.raft.LastIndex() >= index {
			return x.JSON(struct{}{})
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return errs.F(op, string(m.id), errs.Timeout, "has entry %d, not yet %d: %w", m.raft.LastIndex(), index, context.Cause(ctx))
		case <-c.stopped:
			return errs.E(op, string(m.id), errs.Unavailable, errors.New("the node stops"))
		}
	}
}

// serveConfirm says that this voter has not moved on from a term.
func (c service) serveConfirm(x *httpx.Ctx) error {
	const op = "control.serveConfirm"
	m := c.member.Load()
	if m == nil || string(m.id) != x.Query("id") {
		return errs.F(op, x.Query("id"), errs.Conflict, "is not this node's copy of the log")
	}
	if term := uitoa(m.raft.CurrentTerm()); term != x.Query("term") {
		return errs.F(op, string(m.id), errs.NotPrimary, "is at term %s, not %s", term, x.Query("term"))
	}
	return x.JSON(struct{}{})
}

func (c service) serveNodes(x *httpx.Ctx) error {
	r, err := c.primary()
	if err != nil {
		return err
	}
	return x.JSON(r.led.health(c.View().Map, time.Now()))
}

func (c service) serveJoinInfo(x *httpx.Ctx) error {
	v := c.View()
	if v == nil {
		return errs.E("control.serveJoinInfo", "cluster", errs.Unavailable, "this node does not belong to one yet")
	}
	info := joinInfo{UUID: v.Map.UUID, Nodes: []joinNode{{c.cfg.Self.ID, c.cfg.Self.IntraAddr}}}
	for _, voter := range []bool{true, false} {
		for _, n := range v.Map.All() {
			if n.Voter == voter && n.Alive && n.ID != c.cfg.Self.ID {
				info.Nodes = append(info.Nodes, joinNode{n.ID, c.book.addr(n.ID)})
			}
		}
	}
	return x.JSON(info)
}
