package console

import (
	"io"
	"strings"
)

// column is one column of a table.
type column struct {
	title string
	right bool // numbers stand at the right edge
	min   int  // > 0: the column may be squeezed to so many characters, from the middle of its text
	prose bool // squeezed text is wrapped over several lines instead
	drop  int  // > 0: the column may be left out on a narrow terminal, highest first
}

// table is rows under a heading, aligned with two spaces between columns, as kubectl prints them.
type table struct {
	columns []column
	rows    [][]string
}

// add appends a row; it has a cell for every column.
func (t *table) add(cells ...string) {
	for i := range cells {
		cells[i] = Clean(cells[i])
	}
	t.rows = append(t.rows, cells)
}

// write prints the table in at most width columns; 0 is unlimited.
func (t *table) write(w io.Writer, width int) error {
	keep := t.choose(width)
	widths := t.squeeze(keep, width)
	var b strings.Builder
	line := func(row []string) {
		lines := [][]string{} // of each kept column
		most := 1
		for k, i := range keep {
			text := []string{fit(row[i], widths[k])}
			if t.columns[i].prose {
				text = wrap(row[i], widths[k])
			}
			lines, most = append(lines, text), max(most, len(text))
		}
		for n := range most {
			parts := make([]string, len(keep))
			for k, i := range keep {
				text := ""
				if n < len(lines[k]) {
					text = lines[k][n]
				}
				parts[k] = pad(text, widths[k], t.columns[i].right)
			}
			text := strings.Join(parts, "  ")
			if width > 0 {
				text = clip(text, width)
			}
			b.WriteString(strings.TrimRight(text, " ") + "\n")
		}
	}
	titles := make([]string, len(t.columns))
	for i, c := range t.columns {
		titles[i] = c.title
	}
	line(titles)
	for _, row := range t.rows {
		line(row)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// choose names the columns that are shown: all of them, or as few less as makes the rest fit when squeezed.
func (t *table) choose(width int) []int {
	gone := map[int]bool{}
	for {
		var keep []int
		need, worst := -2, -1
		for i, c := range t.columns {
			if gone[i] {
				continue
			}
			keep = append(keep, i)
			w := t.natural(i)
			if c.min > 0 {
				w = min(w, c.min)
			}
			need += w + 2
			if c.drop > 0 && (worst < 0 || c.drop > t.columns[worst].drop) {
				worst = i
			}
		}
		if width <= 0 || need <= width || worst < 0 {
			return keep
		}
		gone[worst] = true
	}
}

// squeeze gives the width of each kept column, taking from the widest that may be squeezed first.
func (t *table) squeeze(keep []int, width int) []int {
	widths := make([]int, len(keep))
	need := -2
	for k, i := range keep {
		widths[k] = t.natural(i)
		need += widths[k] + 2
	}
	for width > 0 && need > width {
		widest := -1
		for k, i := range keep {
			c := t.columns[i]
			if c.min > 0 && widths[k] > c.min && (widest < 0 || widths[k] > widths[widest]) {
				widest = k
			}
		}
		if widest < 0 {
			break
		}
		widths[widest]--
		need--
	}
	return widths
}

func (t *table) natural(i int) int {
	w := cells(t.columns[i].title)
	for _, row := range t.rows {
		w = max(w, cells(row[i]))
	}
	return w
}
