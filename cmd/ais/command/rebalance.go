package command

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"aistore/api"
	"aistore/api/client"
	"aistore/cluster"
	"aistore/cmd/ais/term"
	"aistore/errs"
)

// rebalanceVerbs show, start, stop and await the moving of names, and check where they are.
type rebalanceVerbs struct{ *app }

// commands are `ais start`, `ais stop` and `ais wait`.
func (a rebalanceVerbs) commands() []*cli.Command {
	return []*cli.Command{
		{Name: "start", Usage: "start a rebalance", Subcommands: []*cli.Command{
			a.verb(&cli.Command{Name: api.KindRebalance, Usage: "bring every object to its owner, or go on with the rebalance that was stopped", Action: a.start}),
		}},
		{Name: "stop", Usage: "stop a rebalance", Subcommands: []*cli.Command{
			a.verb(&cli.Command{Name: api.KindRebalance, Usage: "stop moving until it is started again, or nodes come or go", Action: a.stop}),
		}},
		{Name: "wait", Usage: "wait for a rebalance or another job", Subcommands: []*cli.Command{
			a.verb(&cli.Command{Name: api.KindRebalance, Usage: "return when every object is at its owner", ArgsUsage: "[ID]",
				Flags: []cli.Flag{timeoutFlag()}, Action: a.wait}, argRebalance),
			jobVerbs{a.app}.waitCommand("job"),
		}},
	}
}

func (a rebalanceVerbs) start(c *cli.Context) error {
	if err := count(c, 0, 0); err != nil {
		return err
	}
	sdk, err := a.connect(c.Context)
	if err != nil {
		return err
	}
	job, err := sdk.Life().StartRebalance(c.Context)
	switch {
	case err != nil:
		return err
	case a.out.JSON:
		return a.out.Value(map[string]string{"verb": "start", "rebalance": job.ID})
	case job.ID == "":
		a.out.Printf("Nothing to rebalance: the cluster has no buckets.")
	default:
		a.out.Printf("Started rebalance %q (to monitor, run 'ais show rebalance')", job.ID)
	}
	return nil
}

func (a rebalanceVerbs) stop(c *cli.Context) error {
	if err := count(c, 0, 0); err != nil {
		return err
	}
	sdk, err := a.connect(c.Context)
	if err != nil {
		return err
	}
	if err := sdk.Life().StopRebalance(c.Context); err != nil {
		return err
	}
	s, err := sdk.Life().RebalanceJob(c.Context) // what it was about to do when it was stopped may have been its last
	if err != nil {
		return err
	}
	if err := stopped(s); err != nil {
		return err
	}
	if a.out.JSON {
		return a.out.Value(map[string]string{"verb": "stop", "rebalance": s.UUID})
	}
	a.out.Printf("Stopped rebalance %q: objects are found where they are; 'ais start rebalance' goes on", s.UUID)
	return nil
}

// stopped says why the newest rebalance is not stopped although it was told to.
func stopped(s *api.JobStatus) error {
	switch {
	case s.Paused:
		return nil
	case s.EndTime != 0:
		return errs.F("", "rebalance "+s.UUID, errs.Conflict, "had ended before it was stopped: nothing is left to stop")
	}
	return errs.F("", "rebalance "+s.UUID, errs.Conflict, "runs again: somebody has started it, or nodes came or went in the same moment")
}

func (a rebalanceVerbs) wait(c *cli.Context) error {
	id := c.Args().First()
	if c.NArg() == 1 && id == "" {
		return a.waited("", "nothing to wait for: no rebalance was needed")
	}
	if err := count(c, 0, 1); err != nil {
		return err
	}
	if err := checkRebalance(id); err != nil {
		return err
	}
	sdk, err := a.connect(c.Context)
	if err != nil {
		return err
	}
	w := waiting{a, c, sdk, ""}
	if id == "" {
		return w.newest()
	}
	return w.one(id)
}

func (a rebalanceVerbs) waited(id, said string) error {
	if a.out.JSON {
		return a.out.Value(map[string]string{"verb": "wait", "rebalance": id})
	}
	a.out.Printf("wait: %s", said)
	return nil
}

func (a rebalanceVerbs) showCommand() *cli.Command {
	return a.verb(&cli.Command{
		Name: api.KindRebalance, Usage: "show how far the newest rebalance is, node by node, or how far an earlier one came", ArgsUsage: "[ID]",
		Flags: append(refreshFlags(), a.headersFlag(), a.unitsFlag()),
		Action: func(c *cli.Context) error {
			id := c.Args().First()
			if err := count(c, 0, 1); err != nil {
				return err
			}
			if err := checkRebalance(id); err != nil {
				return err
			}
			sdk, err := a.connect(c.Context)
			if err != nil {
				return err
			}
			return a.refreshed(c, func(ctx context.Context) error { return a.show(ctx, sdk, id) })
		},
	}, argRebalance)
}

// checkRebalance refuses what is no id of a rebalance; "" is the newest.
func checkRebalance(id string) error {
	if _, ok := cluster.ParseGeneration(id); id != "" && !ok {
		return usageError("%q is no id of a rebalance: they are written g1, g2 ...", id)
	}
	return nil
}

func (a rebalanceVerbs) show(ctx context.Context, sdk *client.Client, id string) error {
	ask := sdk.Life().Rebalance
	if id != "" {
		ask = func(ctx context.Context) (*api.Rebalance, error) { return sdk.Life().RebalanceByID(ctx, id) }
	}
	r, err := ask(ctx)
	if err != nil {
		return err
	}
	if a.out.JSON {
		return a.out.Value(r)
	}
	t := a.out.NewTable(term.Columns("NODE", "STATE", "MOVED>", "BYTES>", "PRESENT>", "OF>", "RATE>", "ETA>", "ERRORS>", "WAITING FOR")...)
	ids := make([]string, 0, len(r.Nodes)+len(r.Missing))
	for id := range r.Nodes {
		ids = append(ids, id)
	}
	for id := range r.Missing {
		ids = append(ids, id)
	}
	ids = append(ids, r.Unknown...)
	slices.SortFunc(ids, term.Naturally)
	ids = slices.Compact(ids)
	for _, id := range ids {
		if err := t.AddCells(a.cells(id, r)...); err != nil {
			return err
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	a.out.Printf("\n%s", a.summary(r))
	if epoch, ok := cluster.ParseGeneration(id); ok {
		v, err := sdk.View(ctx)
		if err != nil {
			return err
		}
		if epoch < v.Map.Epoch {
			a.out.Printf("%s", remembered(r))
		}
	}
	return nil
}

// remembered says what the sums of an earlier rebalance leave out: it is kept by the targets alone.
func remembered(r *api.Rebalance) string {
	text := "Counted is what targets of today remember. What nodes moved that have left since is not known"
	if len(r.Unknown) > 0 {
		text += ", nor what " + strings.Join(r.Unknown, ", ") + " did: in the cluster since then, or started again"
	}
	return text + "."
}

// recent offers the ids of the last rebalances that are remembered.
func (a rebalanceVerbs) recent(ctx context.Context, sdk *client.Client) []candidate {
	const kept = 10
	m := a.view.Map
	var cs []candidate
	for epoch := m.Epoch; epoch > 0 && m.Epoch-epoch < kept && !m.Began.IsZero(); epoch-- {
		r, err := sdk.Life().RebalanceByID(ctx, cluster.GenerationID(epoch))
		if err != nil {
			continue
		}
		state := "has ended"
		switch {
		case r.Superseded != "":
			state = "superseded by " + r.Superseded
		case r.Running && r.Paused:
			state = "stopped"
		case r.Running:
			state = "runs"
		}
		cs = append(cs, candidate{text: r.ID, help: state + ", of " + stamp(r.Started)})
	}
	return cs
}

func (a rebalanceVerbs) cells(id string, r *api.Rebalance) []term.Cell {
	unknown := term.Cell{Text: "-"}
	s := r.Nodes[id]
	switch {
	case s == nil && slices.Contains(r.Unknown, id):
		return []term.Cell{{Text: id, Style: term.Bold}, {Text: "not known"}, unknown, unknown, unknown, unknown, unknown, unknown, unknown, {}}
	case s == nil:
		return []term.Cell{{Text: id, Style: term.Bold}, {Text: "no answer", Style: term.Red}, unknown, unknown, unknown, unknown, unknown, unknown, unknown, {Text: r.Missing[id]}}
	}
	if s.Epoch != r.Epoch { // what it tells of is an earlier one
		s = &api.RebalanceStatus{Epoch: s.Epoch, Stage: s.Stage}
	}
	state, style := "nothing to do", term.Plain
	switch {
	case s.Stage == cluster.Moving && r.Paused:
		state, style = "stopped", term.Amber
	case s.Stage == cluster.Moving:
		state, style = "moving", term.Amber
	case s.Stage == cluster.Moved:
		state, style = "moved", term.Green
	case s.Stage == cluster.Swept:
		state, style = "done", term.Green
	case s.Epoch == r.Epoch && s.Objects+s.PresentObjects > 0:
		state, style = "moved", term.Green
	}
	rate, eta, of := "-", "-", "-"
	if s.Rate > 0 {
		rate = a.out.Units.Bytes(int64(s.Rate)) + "/s"
	}
	if s.ETANS > 0 {
		eta = time.Duration(s.ETANS).Round(time.Second).String()
	}
	if s.TotalObjects > 0 || r.Over(s) {
		of = term.Count(s.TotalObjects)
	}
	waiting := strings.Join(s.Waiting, ", ")
	if s.LastError != "" {
		waiting = strings.TrimPrefix(waiting+"; "+s.LastError, "; ")
	}
	return []term.Cell{
		{Text: id, Style: term.Bold}, {Text: state, Style: style}, {Text: term.Count(s.Objects)}, {Text: a.out.Units.Bytes(s.Bytes)},
		{Text: term.Count(s.PresentObjects)}, {Text: of}, {Text: rate}, {Text: eta}, {Text: term.Count(int64(s.Errors))}, {Text: waiting},
	}
}

func (a rebalanceVerbs) summary(r *api.Rebalance) string {
	moved := fmt.Sprintf("%s, %s", term.Plural(r.Objects, "object"), a.out.Units.Bytes(r.Bytes))
	present := ""
	if r.PresentObjects > 0 {
		present = fmt.Sprintf("; already there: %s", term.Count(r.PresentObjects))
	}
	var line string
	switch {
	case !r.Running && r.Started.IsZero():
		return "No rebalance was needed so far."
	case r.Superseded != "":
		line = fmt.Sprintf("Rebalance %s was superseded by %s after %v: %s moved%s", r.ID, r.Superseded, max(0, r.Finished.Sub(r.Started)).Round(time.Millisecond), moved, present)
	case !r.Running:
		line = fmt.Sprintf("Rebalance %s has ended: %s moved in %v%s", r.ID, moved, max(0, r.Finished.Sub(r.Started)).Round(time.Millisecond), present)
	case r.Paused:
		line = fmt.Sprintf("Rebalance %s is stopped: %s moved so far%s; 'ais start rebalance' goes on", r.ID, moved, present)
	default:
		line = fmt.Sprintf("Rebalance %s runs since %v: %s moved%s", r.ID, time.Since(r.Started).Round(time.Second), moved, present)
		if r.Rate > 0 {
			line += fmt.Sprintf(", %s/s", a.out.Units.Bytes(int64(r.Rate)))
		}
		if r.ETANS > 0 {
			line += fmt.Sprintf(", about %v to go", time.Duration(r.ETANS).Round(time.Second))
		}
	}
	if len(r.Waiting) > 0 {
		line += "\nIt waits for " + strings.Join(r.Waiting, ", ") + "."
	}
	return line
}

func (a rebalanceVerbs) checkCommand() *cli.Command {
	return a.verb(&cli.Command{
		Name: "check", Usage: "look through all indexes: is every object where the cluster map has it, once, and whole?",
		Description: "Exit code 8 if something is wrong. While a rebalance runs, what is on its way counts as misplaced or surplus.",
		Flags:       []cli.Flag{&cli.BoolFlag{Name: "deep", Usage: "also read every byte", DisableDefaultText: true}, a.headersFlag()},
		Action: func(c *cli.Context) error {
			if err := count(c, 0, 0); err != nil {
				return err
			}
			sdk, err := a.connect(c.Context)
			if err != nil {
				return err
			}
			rep, err := sdk.Life().Check(c.Context, client.CheckOptions{Deep: c.Bool("deep")})
			if err != nil {
				return err
			}
			return a.checked(rep)
		},
	})
}

func (a rebalanceVerbs) checked(rep *api.CheckReport) error {
	if a.out.JSON {
		if err := a.out.Value(rep); err != nil {
			return err
		}
	} else if err := a.printCheck(rep); err != nil {
		return err
	}
	out, moving := 0, 0
	for _, n := range rep.Nodes {
		out += len(n.Out)
		if n.Moving {
			moving++
		}
	}
	switch {
	case rep.Faults() > 0:
		return checkError{errs.F("", "check", errs.Corrupt, "%s of %s not as they should be", term.Plural(rep.Faults(), "object"), term.Count(rep.Checked))}
	case len(rep.Unchecked) > 0:
		return checkError{errs.F("", "check", errs.Unavailable, "%s did not answer", term.Plural(int64(len(rep.Unchecked)), "target"))}
	case out > 0:
		return checkError{errs.F("", "check", errs.Unavailable, "%s could not be looked through", term.Plural(int64(out), "mountpath"))}
	case moving > 0:
		return checkError{errs.F("", "check", errs.Unavailable, "names moved between the mountpaths of %s meanwhile: check again later", term.Plural(int64(moving), "target"))}
	}
	return nil
}

func (a rebalanceVerbs) printCheck(rep *api.CheckReport) error {
	t := a.out.NewTable(term.Columns("NODE", "CHECKED>", "MISPLACED>", "MISSING>", "SURPLUS>", "CORRUPT>", "NOTE")...)
	row := func(id string, n *api.CheckCounts, note string) error {
		cells := []term.Cell{{Text: id, Style: term.Bold}, {Text: term.Count(n.Checked)}}
		for _, bad := range []int64{n.Misplaced, n.Missing, n.Surplus, n.Corrupt} {
			cell := term.Cell{Text: term.Count(bad)}
			if bad > 0 {
				cell.Style = term.Red
			}
			cells = append(cells, cell)
		}
		return t.AddCells(append(cells, term.Cell{Text: note})...)
	}
	var ids []string
	for id := range rep.Nodes {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, term.Naturally)
	for _, id := range ids {
		if err := row(id, &rep.Nodes[id].CheckCounts, checkNote(rep.Nodes[id])); err != nil {
			return err
		}
	}
	for _, id := range slices.SortedFunc(maps.Keys(rep.Unchecked), term.Naturally) {
		if err := row(id, &api.CheckCounts{}, "no answer: "+message(errors.New(rep.Unchecked[id]))); err != nil {
			return err
		}
	}
	if err := row("all", &rep.CheckCounts, ""); err != nil {
		return err
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, id := range ids {
		n := rep.Nodes[id]
		for _, e := range n.Examples {
			a.out.Printf("  %s: %s", id, e)
		}
		if more := n.Faults() - int64(len(n.Examples)); more > 0 && len(n.Examples) > 0 {
			a.out.Printf("  %s: and %s more", id, term.Count(more))
		}
	}
	for _, id := range slices.SortedFunc(maps.Keys(rep.Kept), term.Naturally) {
		a.out.Printf("What %s has was not looked at, and nobody needs it: it is %s.", id, rep.Kept[id])
	}
	switch {
	case rep.Rebalancing && rep.Paused:
		a.out.Printf("A rebalance is stopped ('ais start rebalance' goes on): what it has not moved counts as misplaced or surplus.")
	case rep.Rebalancing:
		a.out.Printf("A rebalance runs: what is on its way counts as misplaced or surplus.")
	}
	return nil
}

// checkNote says what of a node's share the counts do not tell.
func checkNote(n *api.NodeCheck) string {
	var notes []string
	if n.Kept > 0 {
		notes = append(notes, term.Count(n.Kept)+" are copies that it keeps")
	}
	if n.Moving {
		notes = append(notes, "names moved between its mountpaths meanwhile: some may have been passed by or counted twice; check again when 'ais storage mountpath show' tells of no move")
	}
	for _, path := range slices.Sorted(maps.Keys(n.Out)) {
		notes = append(notes, "without mountpath "+path+": "+n.Out[path])
	}
	return strings.Join(notes, "; ")
}
