package command

import (
	"context"
	"time"

	"github.com/urfave/cli/v2"

	"aistore/api"
	"aistore/api/client"
	"aistore/cmd/ais/term"
)

// showResilver is `ais show resilver`.
func (a storageVerbs) showResilver() *cli.Command {
	return a.shows("resilver", "show how far names have moved between the mountpaths of targets", a.resilvers)
}

func (a storageVerbs) resilvers(ctx context.Context, sdk *client.Client, ids []string) (silent int, err error) {
	all, missing := a.ask(ctx, sdk, ids)
	runs := map[string]*api.Resilver{}
	for id, ms := range all {
		if ms.Resilver != nil {
			runs[id] = ms.Resilver
		}
	}
	if a.out.JSON {
		return len(missing), a.out.Value(runs)
	}
	t := a.out.NewTable(term.Columns("NODE", "RESILVER", "STATE", "FROM", "OBJECTS>", "OF>", "BYTES>", "RATE>", "ETA>")...)
	for _, id := range ids {
		if runs[id] == nil {
			continue
		}
		for _, cells := range a.resilverCells(id, runs[id]) {
			if err := t.AddCells(cells...); err != nil {
				return 0, err
			}
		}
	}
	if err := t.Flush(); err != nil {
		return 0, err
	}
	for _, id := range ids {
		switch {
		case runs[id] != nil:
			a.out.Printf("\n%s: %s", id, a.resilverLine(runs[id]))
		case all[id] != nil:
			a.out.Printf("\n%s: nothing moved since it was started", id)
		}
	}
	a.noteMissing(missing)
	return len(missing), nil
}

// resilverCells are a line for the node, and one for each mountpath that something goes off.
func (a storageVerbs) resilverCells(id string, r *api.Resilver) (lines [][]term.Cell) {
	state, style := "ended", term.Green
	switch {
	case r.Waiting != "":
		state, style = "waits", term.Amber
	case r.Running:
		state, style = "running", term.Amber
	}
	rate, eta := "-", "-"
	if r.BytesPerSecond > 0 {
		rate = a.out.Units.Bytes(int64(r.BytesPerSecond)) + "/s"
	}
	if r.ETANS > 0 {
		eta = (time.Duration(r.ETANS) + time.Second - 1).Truncate(time.Second).String()
	}
	lines = append(lines, []term.Cell{
		{Text: id, Style: term.Bold}, {Text: r.ID}, {Text: state, Style: style}, {Text: "all"}, {Text: term.Count(r.Objects)},
		{Text: term.Count(r.Planned)}, {Text: a.out.Units.Bytes(r.Bytes)}, {Text: rate}, {Text: eta},
	})
	for i := range r.Mountpaths {
		if m := &r.Mountpaths[i]; m.Planned+m.Objects > 0 {
			lines = append(lines, []term.Cell{{}, {}, {}, {Text: m.Path}, {Text: term.Count(m.Objects)}, {Text: term.Count(m.Planned)}, {Text: a.out.Units.Bytes(m.Bytes)}, {}, {}})
		}
	}
	return lines
}

func (a storageVerbs) resilverLine(r *api.Resilver) string {
	line := term.Plural(r.Objects, "object") + ", " + a.out.Units.Bytes(r.Bytes) + " moved"
	switch {
	case r.Running && r.ETANS > 0:
		line = "resilver " + r.ID + " is running: " + line + ", " + term.Count(r.Done) + " of " + term.Count(r.Planned) + " done, " +
			(time.Duration(r.ETANS) + time.Second - 1).Truncate(time.Second).String() + " left"
	case r.Running:
		line = "resilver " + r.ID + " is running: " + line + ", " + term.Count(r.Scanned) + " names looked at"
	default:
		line = "resilver " + r.ID + " ended " + stamp(r.Ended) + " after " + max(0, r.Ended.Sub(r.Started)).Round(time.Millisecond).String() + ": " + line
	}
	if r.Failed > 0 {
		line += ", " + term.Count(r.Failed) + " could not be moved"
	}
	if r.Waiting != "" {
		line += "; it waits: " + r.Waiting
	}
	return line
}
