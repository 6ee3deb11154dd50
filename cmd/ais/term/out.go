// Package term writes what the CLI has to say: tables or JSON to standard output, errors, questions and progress
// bars to the terminal, with colours where they are seen and wanted.
//
// It knows neither commands nor clusters.
//
// Start at New.
package term

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"golang.org/x/term"

	"aistore/errs"
)

// Out is where one run of the CLI reads from and writes to. Its methods may be called at the same time.
type Out struct {
	in       io.Reader
	out, err io.Writer

	JSON      bool // results as JSON
	Yes       bool // every question is answered yes
	NoHeaders bool // tables without their first line
	Units     Units

	outColor, errColor bool
	inTTY, errTTY      bool
	framed             bool // a frame was shown

	mu     sync.Mutex
	screen io.Writer // where lines go while progress bars stand below them; nil = err
}

// New looks at the three streams: colours and bars go to terminals only, and NO_COLOR (https://no-color.org) or
// TERM=dumb switch colours off.
func New(in io.Reader, out, err io.Writer, env func(string) string) *Out {
	color := env("NO_COLOR") == "" && env("TERM") != "dumb"
	return &Out{
		in: in, out: out, err: err, Units: IEC,
		inTTY: isTTY(in), errTTY: isTTY(err),
		outColor: color && isTTY(out), errColor: color && isTTY(err),
	}
}

func isTTY(s any) bool {
	f, ok := s.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Stdout returns the standard output, for content.
func (o *Out) Stdout() io.Writer { return o.out }

// Printf writes a line for people to standard output; nothing in JSON mode, where only Value speaks.
func (o *Out) Printf(format string, args ...any) {
	if !o.JSON {
		fmt.Fprintf(o.out, format+"\n", args...)
	}
}

// Notef writes a line for people to standard error, above progress bars if there are any.
func (o *Out) Notef(format string, args ...any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	w := o.screen
	if w == nil {
		w = o.err
	}
	fmt.Fprintf(w, format+"\n", args...)
}

// Value writes v as indented JSON.
func (o *Out) Value(v any) error {
	enc := json.NewEncoder(o.out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// Array writes a JSON array element by element, so that a long listing needs no memory. The function returned
// ends it.
func (o *Out) Array() (add func(v any) error, end func() error) {
	w := bufio.NewWriter(o.out)
	sep := "[\n"
	add = func(v any) error {
		b, err := marshal(v)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(w, "%s  %s", sep, b)
		sep = ",\n"
		return err
	}
	end = func() error {
		tail := "\n]\n"
		if sep == "[\n" {
			tail = "[]\n"
		}
		_, err := w.WriteString(tail)
		return errors.Join(err, w.Flush())
	}
	return add, end
}

func marshal(v any) ([]byte, error) {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return []byte(strings.TrimSuffix(b.String(), "\n")), err
}

// Asks reports whether Confirm would ask somebody. Where nobody is there, a verb that can be taken back need not be confirmed.
func (o *Out) Asks() bool { return !o.Yes && o.inTTY && o.errTTY }

// Confirm asks a question that only "y" or "yes" agrees to. Without a terminal to ask at it fails and says how to
// agree beforehand. The end of ctx, of Ctrl-C, ends the question.
func (o *Out) Confirm(ctx context.Context, format string, args ...any) error {
	const op = "term.Confirm"
	if o.Yes {
		return nil
	}
	question := fmt.Sprintf(format, args...)
	if !o.inTTY || !o.errTTY {
		return errs.F(op, nil, errs.Invalid, "%s\nThere is no terminal to ask at: add --yes (-y) to agree", question)
	}
	fmt.Fprintf(o.err, "%s [y/N]: ", question)
	answer, err := bufio.NewReader(o.Stdin(ctx)).ReadString('\n')
	if ctx.Err() != nil {
		fmt.Fprintln(o.err) // what follows begins a line
		return errs.E(op, nil, ctx.Err())
	}
	if err != nil && answer == "" {
		return errs.E(op, nil, errs.Canceled, "no answer: nothing was done")
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	return errs.E(op, nil, errs.Canceled, "not agreed: nothing was done")
}

// Style is a way to set text off.
type Style string

// The styles, as SGR parameters (ECMA-48 8.3.117).
const (
	Plain Style = ""
	Bold  Style = "1"
	Dim   Style = "2"
	Red   Style = "31"
	Green Style = "32"
	Amber Style = "33"
)

func paint(on bool, s Style, text string) string {
	if !on || s == Plain || text == "" {
		return text
	}
	return "\x1b[" + string(s) + "m" + text + "\x1b[0m"
}

// Paint styles text for standard output.
func (o *Out) Paint(s Style, text string) string { return paint(o.outColor, s, text) }

// PaintErr styles text for standard error.
func (o *Out) PaintErr(s Style, text string) string { return paint(o.errColor, s, text) }

// Frame replaces what the terminal shows by what draw writes to standard output, at once and only when draw is done:
// it may take its time to gather. Where output is no terminal, frames follow one another, a blank line between.
func (o *Out) Frame(draw func() error) error {
	out, tty := o.out, isTTY(o.out)
	var frame bytes.Buffer
	switch {
	case o.JSON:
	case tty:
		frame.WriteString("\x1b[H\x1b[2J") // to the top left corner, wipe the screen; what scrolled away before is not ours
	case o.framed:
		frame.WriteByte('\n')
	}
	o.framed = true
	o.out = &frame
	err := draw()
	o.out = out
	if err != nil {
		return err
	}
	_, err = out.Write(frame.Bytes())
	return err
}
