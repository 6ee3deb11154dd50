package term

import (
	"bufio"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Cell is one field of a table.
type Cell struct {
	Text  string
	Style Style
}

// Column heads a table. Numbers are aligned to the right.
type Column struct {
	Name  string
	Right bool
}

// Columns reads a short description of columns: "NAME", or "SIZE>" for one aligned to the right.
func Columns(names ...string) []Column {
	cols := make([]Column, len(names))
	for i, n := range names {
		name, right := strings.CutSuffix(n, ">")
		cols[i] = Column{name, right}
	}
	return cols
}

// Table collects rows and writes them aligned. A table of unknown length is written in blocks of many rows, each
// no narrower than the one before, so a listing of millions of names needs little memory and stays readable.
type Table struct {
	o      *Out
	cols   []Column
	rows   [][]Cell
	widths []int
	begun  bool
}

// blockRows is how many rows are aligned together.
const blockRows = 2000

// NewTable begins a table.
func (o *Out) NewTable(cols ...Column) *Table {
	return &Table{o: o, cols: cols, widths: make([]int, len(cols))}
}

// Add appends a row of plain cells.
func (t *Table) Add(texts ...string) error {
	cells := make([]Cell, len(texts))
	for i, s := range texts {
		cells[i].Text = s
	}
	return t.AddCells(cells...)
}

// AddCells appends a row.
func (t *Table) AddCells(cells ...Cell) error {
	for i := range cells {
		cells[i].Text = Printable(cells[i].Text)
	}
	t.rows = append(t.rows, cells)
	if len(t.rows) == blockRows {
		return t.Flush()
	}
	return nil
}

// Flush writes what was added. Call it at the end.
func (t *Table) Flush() error {
	w := bufio.NewWriter(t.o.out)
	head := !t.begun && !t.o.NoHeaders
	t.begun = true
	for i, c := range t.cols {
		if head {
			t.widths[i] = max(t.widths[i], width(c.Name))
		}
		for _, r := range t.rows {
			if i < len(r) {
				t.widths[i] = max(t.widths[i], width(r[i].Text))
			}
		}
	}
	if head {
		names := make([]Cell, len(t.cols))
		for i, c := range t.cols {
			names[i] = Cell{c.Name, Bold}
		}
		t.line(w, names)
	}
	for _, r := range t.rows {
		t.line(w, r)
	}
	t.rows = t.rows[:0]
	return w.Flush()
}

func (t *Table) line(w *bufio.Writer, cells []Cell) {
	for i, c := range cells {
		pad := strings.Repeat(" ", max(0, t.widths[i]-width(c.Text)))
		right := t.cols[i].Right
		if i > 0 {
			_, _ = w.WriteString("  ")
		}
		if right {
			_, _ = w.WriteString(pad)
		}
		_, _ = w.WriteString(t.o.Paint(c.Style, c.Text))
		if !right && i < len(cells)-1 {
			_, _ = w.WriteString(pad)
		}
	}
	_ = w.WriteByte('\n')
}

// width is the number of terminal cells, near enough: wide East Asian characters count two, marks none.
func width(s string) int {
	n := 0
	for _, r := range s {
		switch {
		case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		case unicode.In(r, unicode.Han, unicode.Hangul, unicode.Hiragana, unicode.Katakana) || r >= 0xff01 && r <= 0xff60 || r >= 0x1f300 && r <= 0x1faff:
			n += 2
		default:
			n++
		}
	}
	return n
}

// Printable replaces control characters, which could drive the terminal, break the line or turn what follows around: an object may have any name.
func Printable(s string) string {
	if strings.IndexFunc(s, drives) < 0 && utf8.ValidString(s) {
		return s
	}
	return strings.Map(func(r rune) rune {
		if drives(r) || r == utf8.RuneError {
			return '?'
		}
		return r
	}, s)
}

// PrintableLines is Printable for a text of several lines.
func PrintableLines(s string) string {
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		lines[i] = Printable(l)
	}
	return strings.Join(lines, "\n")
}

// drives reports whether a terminal obeys r instead of showing it. Marks of direction turn nothing around, and belong to names in some scripts.
func drives(r rune) bool {
	return unicode.IsControl(r) || r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069'
}
