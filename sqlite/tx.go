package sqlite

import (
	"fmt"
	"time"

	"github.com/pactwire/pactwire"
)

// Tx is the running transaction. It is handed to one function at a time and is not valid after that function returned.
// Its methods may be mixed freely; errors that are no *pactwire.Error are of the database.
type Tx struct {
	c           *conn
	touched     []name // names that became known or moved in this transaction
	nextCommand int64  // 0 = to be read
}

// committed makes what was learnt permanent.
func (t *Tx) committed() {
	for _, n := range t.touched {
		if in := t.c.ids[n]; in != nil {
			in.dirty = false
		}
	}
	t.touched = t.touched[:0]
	t.c.forgetMany()
}

// rolledBack forgets what is no longer so. While the transaction goes on, what it touched may be read and remembered again, and
// is still to be forgotten when the whole is undone after all.
func (t *Tx) rolledBack(whole bool) {
	for _, n := range t.touched {
		delete(t.c.ids, n)
	}
	if whole {
		t.touched = t.touched[:0]
	}
	t.nextCommand = 0
}

// Times are kept as milliseconds since 1970, which is what clients see; NULL is the zero time.

func millis(t time.Time) int64 { return t.UnixMilli() }

func (s *stmt) time(t time.Time) *stmt {
	if t.IsZero() {
		return s.null()
	}
	return s.int(millis(t))
}

func (s *stmt) timePtr(t *pactwire.Time) *stmt {
	if t == nil {
		return s.null()
	}
	return s.int(millis(t.Std()))
}

func (s *stmt) colTime(i int32) time.Time {
	if s.colNull(i) {
		return time.Time{}
	}
	return time.UnixMilli(s.colInt(i)).UTC()
}

func (s *stmt) colTimePtr(i int32) *pactwire.Time {
	if s.colNull(i) {
		return nil
	}
	t := pactwire.Time(s.colTime(i))
	return &t
}

// date is d as the number yyyymmdd, 0 for none.
func (s *stmt) date(d pactwire.LocalDate) *stmt {
	n, ok := dateNumber(d)
	if !ok && s.err == nil {
		s.err = fmt.Errorf("%q is no local date", string(d))
	}
	return s.int(n)
}

func dateNumber(d pactwire.LocalDate) (n int64, ok bool) {
	if d == "" {
		return 0, true
	}
	if len(d) != 10 || d[4] != '-' || d[7] != '-' {
		return 0, false
	}
	for i := range len(d) {
		if i == 4 || i == 7 {
			continue
		}
		if d[i] < '0' || d[i] > '9' {
			return 0, false
		}
		n = n*10 + int64(d[i]-'0')
	}
	return n, true
}

func (s *stmt) colDate(i int32) pactwire.LocalDate {
	n := s.colInt(i)
	if n == 0 {
		return ""
	}
	b := []byte("0000-00-00")
	for p := len(b) - 1; p >= 0; p-- {
		if b[p] != '-' {
			b[p] = byte('0' + n%10)
			n /= 10
		}
	}
	return pactwire.LocalDate(b)
}

// Expect has nothing to do: a read costs no round trip here.
func (t *Tx) Expect(pactwire.Expected) error { return nil }

// ExpectOutcome has nothing to do either.
func (t *Tx) ExpectOutcome(pactwire.UserID, int64, *pactwire.Checkin, []pactwire.PactID) error {
	return nil
}
