package main

import (
	"fmt"
	"hash/fnv"
	"image/color"
	"io"
	"os"
	"strings"
	"time"
	"unicode"

	"charm.land/lipgloss/v2"
	"golang.org/x/term"

	"github.com/pactwire/pactwire"
)

// screen writes what happens as lines for a person: time, sign, who, what. On a terminal it uses colours; elsewhere the
// lines are plain and aligned. Everything that others wrote is made harmless first.
type screen struct {
	w      io.Writer
	color  bool
	zone   *time.Location
	self   pactwire.UserID
	habits map[pactwire.PactID]string // names of the habits of the pacts that are watched
	names  map[pactwire.UserID]string
	width  int    // of the column of names
	day    string // of the last line
}

func newScreen(w io.Writer, color bool, zone *time.Location, self pactwire.UserID) *screen {
	return &screen{w: w, color: color, zone: zone, self: self, width: len("you"),
		habits: map[pactwire.PactID]string{}, names: map[pactwire.UserID]string{self: "you"}}
}

// isTerminal reports whether a person looks at w.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// maxName is the widest a name gets in its column.
const maxName = 16

// meet remembers how somebody is called.
func (f *screen) meet(u pactwire.UserID, name string) {
	if u == f.self || u == "" || name == "" {
		return
	}
	name = shorten(oneLine(name), maxName)
	f.names[u] = name
	f.width = max(f.width, lipgloss.Width(name))
}

// know remembers a pact.
func (f *screen) know(p pactwire.Pact) {
	f.habits[p.ID] = oneLine(p.HabitName)
	for _, m := range p.Members {
		f.meet(m.UserID, m.UserName)
	}
}

func (f *screen) name(u pactwire.UserID) string {
	if n, ok := f.names[u]; ok {
		return n
	}
	return oneLine(string(u))
}

// The styles of a terminal.
var (
	faint  = lipgloss.NewStyle().Faint(true)
	strong = lipgloss.NewStyle().Bold(true)
	warm   = lipgloss.NewStyle().Bold(true).Foreground(lipgloss.BrightYellow)
	alarm  = lipgloss.NewStyle().Foreground(lipgloss.BrightRed)
	people = []color.Color{lipgloss.BrightCyan, lipgloss.BrightGreen, lipgloss.BrightMagenta, lipgloss.BrightBlue, lipgloss.Cyan, lipgloss.Green}
)

// styled gives s a style where there are colours.
func (f *screen) styled(style lipgloss.Style, s string) string {
	if !f.color {
		return s
	}
	return style.Render(s)
}

// person is the style of somebody's name: always the same for the same person.
func (f *screen) person(u pactwire.UserID) lipgloss.Style {
	if u == f.self {
		return strong
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(u))
	return strong.Foreground(people[int(h.Sum32()%uint32(len(people)))])
}

// line is one row of the feed.
type line struct {
	at    time.Time
	sign  string
	who   pactwire.UserID // "" = nobody
	text  string
	pact  pactwire.PactID // to be named when several are watched and the text does not
	style lipgloss.Style
}

// write puts a line out, after the date when a new day begins.
func (f *screen) write(l line) error {
	local := l.at.In(f.zone)
	if day := local.Format("Monday 2 January 2006"); day != f.day {
		f.day = day
		if err := f.put(f.styled(faint, "── "+day+" ──")); err != nil {
			return err
		}
	}
	name := ""
	if l.who != "" {
		name = f.name(l.who)
	}
	padding := strings.Repeat(" ", max(f.width-lipgloss.Width(name), 0))
	if name != "" {
		name = f.styled(f.person(l.who), name)
	}
	sign := l.sign + strings.Repeat(" ", max(2-lipgloss.Width(l.sign), 0))
	row := f.styled(faint, local.Format("15:04")) + "  " + sign + "  " + name + padding + "  " + f.styled(l.style, l.text)
	if habit := f.habits[l.pact]; habit != "" && len(f.habits) > 1 && !strings.Contains(l.text, habit) {
		row += f.styled(faint, "  · "+habit)
	}
	return f.put(row)
}

func (f *screen) put(s string) error {
	s = strings.TrimRight(s, " ")
	var err error
	if f.color {
		_, err = lipgloss.Fprintln(f.w, s) // as many colours as the terminal has
	} else {
		_, err = fmt.Fprintln(f.w, s)
	}
	return err
}

// oneLine makes text of others harmless: no control characters or escapes that a terminal would obey, nothing that turns
// the direction of writing around.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case r == '\u200d': // joins emoji
			return r
		case unicode.IsControl(r), unicode.Is(unicode.Cf, r), r == '\u2028', r == '\u2029', r == unicode.ReplacementChar:
			return -1
		}
		return r
	}, s)
	return strings.Join(strings.Fields(s), " ")
}

// shorten cuts s to a width.
func shorten(s string, width int) string {
	if lipgloss.Width(s) <= width {
		return s
	}
	for s != "" && lipgloss.Width(s) > width-1 {
		r := []rune(s)
		s = string(r[:len(r)-1])
	}
	return s + "…"
}
