package command

import (
	"context"
	"sort"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"aistore/api"
	"aistore/api/client"
	"aistore/cluster"
	"aistore/cmd/ais/term"
	"aistore/errs"
)

// tellJobAfter is how long a job may take before whoever sits at a terminal is told where to see how far it is.
const tellJobAfter = 2 * time.Second

// await waits for the end of a job. If that takes longer than after it calls tell.
func await(ctx context.Context, job *client.Job, after time.Duration, tell func()) error {
	soon, cancel := context.WithTimeout(ctx, after)
	defer cancel()
	if err := job.Wait(soon); err == nil || soon.Err() == nil || ctx.Err() != nil {
		return err
	}
	tell()
	return job.Wait(ctx)
}

// runJob starts a job of the cluster, waits for it and returns how many objects it has worked on. If the user goes
// away the job goes on, and he is told how to stop it.
func (a *app) runJob(ctx context.Context, verb string, start func() (*client.Job, error)) (int64, error) {
	job, err := start()
	if err != nil {
		return 0, err
	}
	err = await(ctx, job, tellJobAfter, func() {
		if a.out.Shows() {
			a.out.Notef("%s: job %s is at work: `ais show job %s --refresh 2` tells how far it is", verb, job.ID, job.ID)
		}
	})
	if err != nil {
		if ctx.Err() != nil {
			if a.out.JSON {
				return 0, errs.F("", verb, errs.Canceled, "interrupted: job %s goes on; `ais job stop %s` ends it", job.ID, job.ID)
			}
			a.out.Notef("%s: job %s goes on; `ais job stop %s` ends it", verb, job.ID, job.ID)
			return 0, ctx.Err()
		}
		return 0, err
	}
	byTarget, err := job.Snaps(ctx)
	if err != nil {
		return 0, err
	}
	row := jobRow{}
	for _, snaps := range byTarget {
		for i := range snaps {
			row.add(&snaps[i])
		}
	}
	if row.Errors > 0 {
		return row.Objects, partialError{verb, int64(row.Errors), row.Objects, row.Err}
	}
	return row.Objects, nil
}

// jobVerbs work on the cluster's jobs.
type jobVerbs struct{ *app }

func (a jobVerbs) command() *cli.Command {
	stop := func(c *cli.Context) error {
		if err := count(c, 1, 1); err != nil {
			return err
		}
		sdk, err := a.connect(c.Context)
		if err != nil {
			return err
		}
		job := sdk.Job(c.Args().First())
		if err := job.Stop(c.Context); err != nil {
			return notKind(c.Context, sdk, job.ID, err)
		}
		if s, err := job.Status(c.Context); err == nil && s.EndTime != 0 && !s.Aborted { // of what has ended, stopping is no error of the cluster's
			return errs.F("", "job "+job.ID, errs.Conflict, "had ended before it was stopped: nothing is left to stop")
		}
		return a.didJob("stop", job.ID)
	}
	return &cli.Command{
		Name: "job", Usage: "show, await and stop the cluster's jobs",
		Subcommands: []*cli.Command{
			a.showJobs("ls"),
			a.waitCommand("wait"),
			a.verb(&cli.Command{Name: "stop", Usage: "end a job", ArgsUsage: "ID", Action: stop}, argJob),
		},
	}
}

// timeoutFlag bounds a wait.
func timeoutFlag() cli.Flag {
	return &cli.DurationFlag{Name: "timeout", Usage: "give up after `DURATION`, such as 30s or 5m", DefaultText: "never"}
}

// limited is the command's context within --timeout.
func limited(c *cli.Context) (context.Context, context.CancelFunc) {
	if d := c.Duration("timeout"); d > 0 {
		return context.WithTimeout(c.Context, d)
	}
	return context.WithCancel(c.Context)
}

func (a jobVerbs) waitCommand(name string) *cli.Command {
	return a.verb(&cli.Command{
		Name: name, Usage: "return when a job has ended", ArgsUsage: "ID", Flags: []cli.Flag{timeoutFlag()},
		Action: func(c *cli.Context) error {
			if err := count(c, 1, 1); err != nil {
				return err
			}
			sdk, err := a.connect(c.Context)
			if err != nil {
				return err
			}
			ctx, cancel := limited(c)
			defer cancel()
			id, wait := c.Args().First(), sdk.Job(c.Args().First()).Wait
			if _, ok := cluster.ParseGeneration(id); ok {
				w := waiting{rebalanceVerbs{a.app}, c, sdk, ""}
				wait = func(ctx context.Context) error { return w.until(ctx, id) }
			}
			if err := wait(ctx); err != nil {
				return notKind(c.Context, sdk, id, err)
			}
			return a.didJob("wait", id)
		},
	}, argJob)
}

// kindCalled returns the kind of jobs that has the name, "" if none has.
func kindCalled(kinds []api.JobKind, name string) string {
	for _, k := range kinds {
		if name == k.Kind || name == k.Name {
			return k.Kind
		}
	}
	return ""
}

// notKind replaces the error of a job that nobody knows where a kind was given for its id.
func notKind(ctx context.Context, sdk *client.Client, id string, err error) error {
	if !errs.Is(err, errs.NotFound) {
		return err
	}
	if kinds, bad := sdk.JobKinds(ctx); bad != nil || kindCalled(kinds, id) == "" {
		return err
	}
	return usageError("%s is a kind of jobs, and the ID of one is wanted: `ais show job %s` lists them", id, id)
}

func (a jobVerbs) didJob(verb, id string) error {
	if a.out.JSON {
		return a.out.Value(map[string]string{"verb": verb, "job": id})
	}
	a.out.Printf("%s: job %s", verb, id)
	return nil
}

func (a jobVerbs) showJobs(name string) *cli.Command {
	return a.verb(&cli.Command{
		Name: name, Usage: "show jobs: those that run, or with --all also those that have ended", ArgsUsage: "[ID|KIND]",
		Flags:  append(refreshFlags(), &cli.BoolFlag{Name: "all", Usage: "also jobs that have ended", DisableDefaultText: true}, a.headersFlag(), a.unitsFlag()),
		Action: a.listJobs,
	}, argJob)
}

// jobRow sums a job up over the targets; it is also its JSON.
type jobRow struct {
	ID      string    `json:"id"`
	Kind    string    `json:"kind"`
	Bucket  string    `json:"bucket,omitempty"`
	What    string    `json:"what,omitempty"`
	State   string    `json:"state"` // running, idle, finished, aborted
	Start   time.Time `json:"start"`
	End     time.Time `json:"end,omitzero"`
	Objects int64     `json:"objects"`
	Bytes   int64     `json:"bytes"`
	Errors  uint64    `json:"errors"`
	Err     string    `json:"err,omitempty"`
	Targets int       `json:"targets"`
}

func (r *jobRow) add(s *api.JobSnap) {
	r.Targets++
	r.ID, r.Kind, r.What = s.ID, s.Kind, s.Ctl
	if s.Bck.Name != "" {
		r.Bucket = s.Bck.String()
	}
	if r.Start.IsZero() || s.Start.Before(r.Start) {
		r.Start = s.Start
	}
	if s.End.After(r.End) {
		r.End = s.End
	}
	r.Objects += s.Stats.Objects
	r.Bytes += s.Stats.Bytes
	r.Errors += s.Errors
	for _, e := range []string{s.Err, s.AbortErr} {
		if r.Err == "" {
			r.Err = e
		}
	}
	rank := map[string]int{"": 0, "finished": 1, "idle": 2, "running": 3, "aborted": 4}
	state := "running"
	switch {
	case s.Aborted:
		state = "aborted"
	case !s.End.IsZero():
		state = "finished"
	case s.Idle:
		state = "idle"
	}
	if rank[state] > rank[r.State] {
		r.State = state
	}
}

func (a jobVerbs) listJobs(c *cli.Context) error {
	if err := count(c, 0, 1); err != nil {
		return err
	}
	q := api.JobQuery{}
	if !c.Bool("all") && c.NArg() == 0 {
		yes := true
		q.Active = &yes
	}
	sdk, err := a.connect(c.Context)
	if err != nil {
		return err
	}
	if c.NArg() == 1 {
		kinds, err := sdk.JobKinds(c.Context)
		if err != nil {
			return err
		}
		if q.Kind = kindCalled(kinds, c.Args().First()); q.Kind == "" {
			q.ID = c.Args().First()
		}
	}
	return a.refreshed(c, func(ctx context.Context) error {
		byTarget, err := sdk.Jobs(ctx, q)
		if err != nil {
			return err
		}
		rows := jobRows(byTarget)
		if q.ID != "" && len(rows) == 0 {
			return errs.F("", "job "+q.ID, errs.NotFound, "no target knows it: it never was, or its targets were restarted")
		}
		return a.printJobs(rows)
	})
}

func jobRows(byTarget map[string][]api.JobSnap) []jobRow {
	sums := map[string]*jobRow{}
	for _, snaps := range byTarget {
		for i := range snaps {
			id := snaps[i].ID
			if sums[id] == nil {
				sums[id] = &jobRow{}
			}
			sums[id].add(&snaps[i])
		}
	}
	rows := make([]jobRow, 0, len(sums))
	for _, r := range sums {
		rows = append(rows, *r)
	}
	sort.Slice(rows, func(i, j int) bool { return rows[i].Start.Before(rows[j].Start) })
	return rows
}

func (a jobVerbs) printJobs(rows []jobRow) error {
	if a.out.JSON {
		return a.out.Value(rows)
	}
	if len(rows) == 0 {
		a.out.Printf("No job runs; --all shows those that have ended.")
		return nil
	}
	t := a.out.NewTable(term.Columns("ID", "KIND", "BUCKET", "STATE", "STARTED", "TOOK>", "OBJECTS>", "BYTES>", "ERRORS>")...)
	styles := map[string]term.Style{"running": term.Green, "aborted": term.Red}
	for _, r := range rows {
		end := r.End
		if end.IsZero() || r.State == "running" {
			end = time.Now()
		}
		cells := []term.Cell{{Text: r.ID}, {Text: r.Kind}, {Text: strings.TrimSpace(r.Bucket)}, {Text: r.State, Style: styles[r.State]}}
		for _, s := range []string{stamp(r.Start), term.Uptime(end.Sub(r.Start)), term.Count(r.Objects), a.out.Units.Bytes(r.Bytes), term.Count(int64(r.Errors))} {
			cells = append(cells, term.Cell{Text: s})
		}
		if err := t.AddCells(cells...); err != nil {
			return err
		}
	}
	return t.Flush()
}
